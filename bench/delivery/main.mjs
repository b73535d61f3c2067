/**
 * All benches of the delivery one after the other, or those that are named; options reach each of them.
 * `npm run bench:delivery -- --rounds 5`, `npm run bench:delivery -- bystander --quick`
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BENCHES = ['full-file', 'requests', 'bystander', 'slow-clients', 'aborts'];
const given = process.argv.slice(2);
const named = given.filter((argument) => BENCHES.includes(argument));
const options = given.filter((argument) => !named.includes(argument));

for (const bench of named.length > 0 ? named : BENCHES) {
  const script = fileURLToPath(new URL(`./${bench}.mjs`, import.meta.url));
  const { status } = spawnSync(process.execPath, [script, ...options], { stdio: 'inherit' });
  process.exitCode ||= status ?? 1;
}
