import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, inject, it } from 'vitest';
import { ROOT, run } from './support.js';

const CONSUMER = fileURLToPath(new URL('./consumer', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const OPTIONS = {
  target: 'es2022',
  lib: ['es2023'],
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  outDir: 'out',
  rootDir: '.',
};

it.each([
  // declarations are checked once for each way of resolving modules
  ['an ES module with module nodenext', 'module', { module: 'nodenext', skipLibCheck: false }],
  ['an ES module with module node20', 'module', { module: 'node20' }],
  ['CommonJS with module nodenext', 'commonjs', { module: 'nodenext' }],
  ['CommonJS with module commonjs', 'commonjs', { module: 'commonjs' }],
  [
    'CommonJS with module commonjs and the resolution of old',
    'commonjs',
    {
      module: 'commonjs',
      moduleResolution: 'node10',
      ignoreDeprecations: '6.0',
      esModuleInterop: true,
      skipLibCheck: false,
    },
  ],
] as const)('an application compiles as %s, and downloads', async (name, type, compilerOptions) => {
  const folder = join(inject('project').folder, name.replaceAll(' ', '-'));
  cpSync(CONSUMER, folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }));
  const tsconfig = { compilerOptions: { ...OPTIONS, ...compilerOptions } };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));

  const compiled = await run(folder, process.execPath, [TSC, '--pretty', 'false']);
  expect(compiled).toEqual({ code: 0, output: '' });
  const { code, output } = await run(folder, process.execPath, ['out/app.js']);
  expect(output.trimEnd().split('\n')).toEqual([
    '401 TOKEN_MISSING',
    '200 the file',
    '200 the file',
    '/files/42?ss-tok=REDACTED',
  ]);
  expect(code).toBe(0);
});
