import { execFile } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CompiledLibrary } from '../leases/support/processes.js';
import { ADAPTERS } from '../support/test-app.js';

const SCRIPT = fileURLToPath(new URL('./two-copies.mjs', import.meta.url));

let library: CompiledLibrary;
let copy: string;
beforeAll(() => {
  library = new CompiledLibrary();
  copy = `${library.folder}-copy`;
  cpSync(library.folder, copy, { recursive: true });
});
afterAll(() => {
  library.remove();
  rmSync(copy, { recursive: true, force: true });
});

it.each(ADAPTERS)('on %s, closing one of two copies of the package does not disturb the other', async (adapter) => {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, library.folder, copy, adapter]);
  expect(JSON.parse(stdout)).toEqual([200, 200, 200]);
}); // prettier-ignore
