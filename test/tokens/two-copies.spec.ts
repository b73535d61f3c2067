import { execFile } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { compiledLibrary } from '../support/compiled-library.js';
import { ADAPTERS } from '../support/test-app.js';

const SCRIPT = fileURLToPath(new URL('./two-copies.mjs', import.meta.url));

const library = compiledLibrary();
// beside it, where the same dependencies are found
const copy = `${library}-copy-${process.pid}`;
cpSync(library, copy, { recursive: true });
afterAll(() => rmSync(copy, { recursive: true, force: true }));

it.each(ADAPTERS)('on %s, closing one of two copies of the package does not disturb the other', async (adapter) => {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, library, copy, adapter]);
  expect(JSON.parse(stdout)).toEqual([200, 200, 200]);
}); // prettier-ignore
