/**
 * Adds up what vitest has written to a folder of JSON reports and prints `N passed, N failed, N skipped`.
 *
 *     node scripts/summary.mjs FOLDER [STEP…]
 *
 * What failed is named once more, with the first lines of its message, since the end of a log is what is kept
 * of it.
 *
 * Each STEP names something that failed beside the tests (the linter, an installation); it counts as one
 * failure where no test failed, so that the line never says `0 failed` of a run that did. Exits with 1 for
 * any failure, and where no test ran at all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, ...failedSteps] = process.argv.slice(2);
const MESSAGE_LINES = 12;
const total = { passed: 0, failed: 0, skipped: 0 };

for (const file of readdirSync(folder).sort()) {
  const name = file.replace('.json', '');
  const { passed, failed, skipped, failures } = readReport(join(folder, file));
  console.log(`${name}: ${passed} of ${passed + failed} passed, ${skipped} were skipped`);
  for (const { title, message } of failures) console.log(indent(`FAILED ${title}\n${message}`));
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
for (const step of failedSteps) console.log(`Failed: ${step}`);
if (total.failed === 0) total.failed = failedSteps.length;
if (total.passed + total.failed === 0) total.failed = 1;

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 ? 1 : 0;

/** A report that cannot be read, or that failed outside of any test, counts as one failure. */
function readReport(path) {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'));
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests || (report.success ? 0 : 1),
      skipped: report.numPendingTests + report.numTodoTests,
      failures: failuresIn(report),
    };
  } catch (error) {
    return { passed: 0, failed: 1, skipped: 0, failures: [{ title: path, message: error.message }] };
  }
}

/** An error that no test awaited fails a run without failing a test; only the log above tells what it was. */
function failuresIn({ success, testResults }) {
  const failures = testResults.flatMap(failuresOf);
  if (success || failures.length > 0) return failures;
  return [
    {
      title: 'outside of every test',
      message: 'An unhandled error: see what vitest printed at the end of this run.',
    },
  ];
}

/** The failed tests of a file, or the file itself where it failed outside of its tests. */
function failuresOf({ name, status, message, assertionResults }) {
  const tests = assertionResults
    .filter((test) => test.status === 'failed')
    .map((test) => ({
      title: `${name}: ${test.fullName}`,
      message: firstLines(test.failureMessages.join('\n')),
    }));
  if (tests.length > 0 || status !== 'failed') return tests;
  return [{ title: name, message: firstLines(message) }];
}

function firstLines(text) {
  return text.split('\n').slice(0, MESSAGE_LINES).join('\n');
}

function indent(text) {
  return text.replace(/^/gm, '  ');
}
