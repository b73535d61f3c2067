/** All benches of the delivery, one after the other; arguments reach each of them. `npm run bench:delivery -- --rounds 5` */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

for (const bench of ['full-file', 'requests', 'slow-clients', 'aborts']) {
  const script = fileURLToPath(new URL(`./${bench}.mjs`, import.meta.url));
  const { status } = spawnSync(process.execPath, [script, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exitCode ||= status ?? 1;
}
