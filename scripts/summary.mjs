/**
 * Adds up what vitest has written to a folder of JSON reports and prints `N passed, N failed, N skipped`.
 *
 *     node scripts/summary.mjs FOLDER [STEP…]
 *
 * Each STEP names something that failed beside the tests (the linter, an installation); it counts as one failure
 * where no test failed, so that the line never says `0 failed` of a run that did. Exits with 1 for
 * any failure, and where no test ran at all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, ...failedSteps] = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

for (const name of readdirSync(folder).sort()) {
  const { passed, failed, skipped } = countsOf(join(folder, name));
  console.log(
    `${name.replace('.json', '')}: ${passed} of ${passed + failed} passed, ${skipped} were skipped`,
  );
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
function countsOf(path) {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8'));
    const failed = report.numFailedTests || (report.success ? 0 : 1);
    return { passed: report.numPassedTests, failed, skipped: report.numPendingTests + report.numTodoTests };
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}
