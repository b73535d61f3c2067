/** What a consumer's tests have, for every runner. */

/** The configuration of Jest as `nest new` of Nest 11 writes it. */
export const NEST_NEW = {
  moduleFileExtensions: ['js', 'json', 'ts'],
  rootDir: 'src',
  testRegex: '.*\\.spec\\.ts$',
  transform: { '^.+\\.(t|j)s$': 'ts-jest' },
  testEnvironment: 'node',
};
/** As `nest new` writes it. */
export const TSCONFIG = {
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
/** Tests that run under Jest and Vitest with globals, and under node:test with what `first` imports. */
export const specOf = (first = '') => `${first}
import { Controller, Get, Module, Param } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import assert from 'node:assert/strict';
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
  assert.deepEqual([answer.status, await answer.text()], [200, 'file 42']);
  assert.equal((await fetch((await app.getUrl()) + '/files/42')).status, 401);
  await app.close();
});

for (const [store, unreachable] of [
  [new PostgresLeaseStore({ url: 'postgres://127.0.0.1:1/none' }), /ECONNREFUSED/],
  [new RedisLeaseStore({ url: 'redis://127.0.0.1:1' }), /writeable/],
] as const) {
  it('loads the client of ' + store.constructor.name, async () => {
    await store.open(Date.now());
    const read = store.read({ now: Date.now(), linkId: 'x', records: 'all', revocations: [] });
    await assert.rejects(read, unreachable);
    await store.close();
  });
}
`;
