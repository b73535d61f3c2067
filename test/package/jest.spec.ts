import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { NEST_NEW, specOf, TSCONFIG } from './runner-project.js';
import { npm, run } from './support.js';

const INSTALLED = [
  ...['common', 'core', 'passport', 'platform-express', 'testing'].map((name) => `@nestjs/${name}@11`),
  ...['passport@0.7', 'reflect-metadata@0.2', 'rxjs@7', 'jest@30', 'ts-jest@29', 'typescript@5.9'],
  ...['@types/jest@30', '@types/node@24', 'ioredis@5', 'pg@8'],
];
const folder = mkdtempSync(join(tmpdir(), 'jest-consumer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  await npm(folder, 'install', '--prefer-offline', '--no-audit', inject('project').tarball, ...INSTALLED);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: TSCONFIG }));
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'src/files.spec.ts'), specOf());
});

it('runs under Jest and ts-jest as nest new of Nest 11 configures them', async () => {
  writeFileSync(join(folder, 'jest.json'), JSON.stringify(NEST_NEW));
  const jest = ['node_modules/jest/bin/jest.js', '-c', 'jest.json', '--no-cache', '--json', '--forceExit'];
  expect(await run(folder, process.execPath, jest)).toEqual({
    code: 0,
    output: expect.stringContaining('"numPassedTests":3'),
  });
});
