/**
 * Refuses a package-lock.json that names a registry: the lockfile has to work with whatever registry npm is
 * configured for. `.npmrc` has `omit-lockfile-registry-resolved=true`, which a global option may override.
 */
import { readFileSync } from 'node:fs';

const lockfile = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'));
const offenders = Object.entries(lockfile.packages)
  .filter(([, { resolved }]) => /^https?:/.test(resolved ?? ''))
  .map(([path]) => path);

if (offenders.length > 0) {
  console.error(
    `package-lock.json: ${offenders.length} packages have an address, ${offenders[0]} for one. ` +
      'Remove them with: npm install --package-lock-only --omit-lockfile-registry-resolved',
  );
  process.exitCode = 1;
}
