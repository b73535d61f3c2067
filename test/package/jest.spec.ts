import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { npm, run } from './support.js';

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
  ...['@types/jest@30', '@types/node@24', 'ioredis@5', 'pg@8'],
];
const SPEC = `
import { Controller, Get, Module, Param } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { PostgresLeaseStore } from 'nestjs-download-auth/postgres';
import { RedisLeaseStore } from 'nestjs-download-auth/redis';
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

it.each([
  ['PostgreSQL', new PostgresLeaseStore({ url: 'postgres://127.0.0.1:1/none' }), /ECONNREFUSED/],
  ['Redis', new RedisLeaseStore({ url: 'redis://127.0.0.1:1' }), /writeable/],
])('loads the client of %s', async (_name, store, unreachable) => {
  await store.open(Date.now());
  const read = store.read({ now: Date.now(), linkId: 'x', records: 'all', revocations: [] });
  await expect(read).rejects.toThrow(unreachable);
  await store.close();
});
`;

const folder = mkdtempSync(join(tmpdir(), 'jest-consumer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(async () => {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  await npm(folder, 'install', '--prefer-offline', '--no-audit', inject('project').tarball, ...INSTALLED);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: TSCONFIG }));
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'src/files.spec.ts'), SPEC);
});

it('runs under Jest and ts-jest as nest new of Nest 11 configures them', async () => {
  writeFileSync(join(folder, 'jest.json'), JSON.stringify(NEST_NEW));
  const jest = ['node_modules/jest/bin/jest.js', '-c', 'jest.json', '--no-cache', '--json', '--forceExit'];
  expect(await run(folder, process.execPath, jest)).toEqual({
    code: 0,
    output: expect.stringContaining('"numPassedTests":3'),
  });
});
