import 'reflect-metadata';
import { fileURLToPath } from 'node:url';

const LIBRARY = fileURLToPath(new URL('../../lib/', import.meta.url));
const LISTENS = Symbol.for('test/support/setup: listens for deprecation warnings');

/** Fails the run where lib/ calls what Node deprecates, before a newer Node breaks it. */
function refuseDeprecations(warning: Error): void {
  const caller = warning.stack?.split('\n').find((line) => /^\s+at /.test(line) && !line.includes('node:'));
  if (warning.name === 'DeprecationWarning' && caller?.includes(LIBRARY)) {
    throw warning;
  }
}

// the files of a worker share its process
const { [LISTENS]: listens } = process as { [LISTENS]?: boolean };
if (!listens) {
  Object.assign(process, { [LISTENS]: true });
  process.on('warning', refuseDeprecations);
}
