import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { npm, packInto, run } from './support.js';

const RECIPES = readFileSync(new URL('../../docs/recipes.md', import.meta.url), 'utf8');
const [, BLOCK = ''] = /### With Jest.*?```json\n("transform".*?)```/s.exec(RECIPES) ?? [];
const RECIPE = JSON.parse(`{${BLOCK}}`) as { transform: object; transformIgnorePatterns: [string] };

/** As `nest new` of Nest 11 writes it. */
const NEST_NEW = {
  moduleFileExtensions: ['js', 'json', 'ts'],
  rootDir: 'src',
  testRegex: '.*\\.spec\\.ts$',
  transform: { '^.+\\.(t|j)s$': 'ts-jest' },
  testEnvironment: 'node',
};
const TSCONFIG = {
  module: 'nodenext',
  moduleResolution: 'nodenext',
  esModuleInterop: true,
  isolatedModules: true,
  emitDecoratorMetadata: true,
  experimentalDecorators: true,
  target: 'ES2023',
  skipLibCheck: true,
  strictNullChecks: true,
  types: ['node', 'jest'],
};
const INSTALLED = [
  ...['common', 'core', 'passport', 'platform-express', 'testing'].map((name) => `@nestjs/${name}@11`),
  ...['passport@0.7', 'reflect-metadata@0.2', 'rxjs@7', 'jest@30', 'ts-jest@29', 'typescript@5.9'],
  ...['@types/jest@30', '@types/node@24'],
];
const SPEC = `
import { Controller, Get, Module, Param } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Download, DownloadAuthModule, DownloadLinks, StreamDownload } from 'nestjs-download-auth';

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload()
  download(@Param('id') id: string) {
    return Download.buffer(Buffer.from('file ' + id), { filename: id + '.txt' });
  }
}

@Module({
  imports: [DownloadAuthModule.forRoot({ secret: 'a secret that is long enough to be one' })],
  controllers: [FilesController],
})
class AppModule {}

it('downloads', async () => {
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  const app: INestApplication = module.createNestApplication();
  await app.listen(0, '127.0.0.1');
  const links = app.get(DownloadLinks);
  const { url } = links.create(FilesController, 'download', { params: { id: '42' }, maxDownloads: 1 });
  const answer = await fetch((await app.getUrl()) + url);
  expect([answer.status, await answer.text()]).toEqual([200, 'file 42']);
  expect((await fetch((await app.getUrl()) + '/files/42')).status).toBe(401);
  await app.close();
});
`;

const folder = mkdtempSync(join(tmpdir(), 'jest-consumer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  const { filename } = await packInto(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  await npm(folder, 'install', '--prefer-offline', '--no-audit', `./${filename}`, ...INSTALLED);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: TSCONFIG }));
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'src/files.spec.ts'), SPEC);
});

const jest = (config: object, ...flags: string[]) => {
  writeFileSync(join(folder, 'jest.json'), JSON.stringify(config));
  const args = [
    ...flags,
    'node_modules/jest/bin/jest.js',
    '-c',
    'jest.json',
    '--no-cache',
    '--json',
    '--forceExit',
  ];
  return run(folder, process.execPath, args);
};
const PASSED = { code: 0, output: expect.stringContaining('"numPassedTests":1') };

it('runs under Jest and ts-jest with the configuration of the recipe', async () => {
  expect(await jest({ ...NEST_NEW, ...RECIPE })).toEqual(PASSED);
});

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
it.runIf(major > 24 || (major === 24 && minor >= 9))(
  'runs under Jest as nest new configures it, with a flag of Node',
  async () => {
    expect(await jest(NEST_NEW, '--experimental-vm-modules')).toEqual(PASSED);
  },
);

it.each([
  ['/app/node_modules/nestjs-download-auth/dist/index.js', false],
  [
    '/app/node_modules/.pnpm/nestjs-download-auth@1.0.0_a1/node_modules/nestjs-download-auth/dist/index.js',
    false,
  ],
  ['/app/node_modules/passport/lib/index.js', true],
  ['/app/node_modules/nestjs-download-auth/node_modules/ms/index.js', true],
  ['/app/node_modules/.pnpm/ms@2.1.3/node_modules/ms/index.js', true],
])('has ts-jest translate this package and no other: %s', (path, ignored) => {
  expect(new RegExp(RECIPE.transformIgnorePatterns[0]).test(path)).toBe(ignored);
});
