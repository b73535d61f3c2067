// A process with an application of its own. Arguments: the folder of the compiled library, and as JSON the HTTP
// adapter, the store and how long to wait for it. Messages to it: { do: 'mint' | 'revoke' | 'resource' | 'usage', … }.
import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, description] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(folder, path)).href);
const { Download, DownloadAuthModule, DownloadLinks, StreamDownload } = await load('index.js');
const { adapter, sqlite, redis, storeTimeout } = JSON.parse(description);
const store = sqlite
  ? new (await load('leases/sqlite/index.js')).SqliteLeaseStore(sqlite)
  : new (await load('leases/redis/index.js')).RedisLeaseStore(redis);
const { ExpressAdapter, FastifyAdapter } = await import(`@nestjs/platform-${adapter}`);

const BYTES = Buffer.alloc(20_000, 'limited');

/** Sends its first half, and waits for the client to leave. */
async function* half({ start, end, signal }) {
  yield BYTES.subarray(start, Math.min(end, BYTES.length / 2));
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

class FilesController {
  file(name) {
    return name === 'held'
      ? Download.source({ length: BYTES.length, etag: 'held', open: half })
      : Download.buffer(BYTES);
  }
}
const file = Object.getOwnPropertyDescriptor(FilesController.prototype, 'file');
Get('files/:name')(FilesController.prototype, 'file', file);
StreamDownload()(FilesController.prototype, 'file', file);
Param('name')(FilesController.prototype, 'file', 0);
Controller()(FilesController);

class AppModule {}
Module({
  imports: [
    DownloadAuthModule.forRoot({
      secret: 'a secret that all processes of the test share',
      leases: { store, storeTimeout },
    }),
  ],
  controllers: [FilesController],
})(AppModule);

const server = adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter();
const app = await NestFactory.create(AppModule, server, { logger: false });
await app.listen(0, '127.0.0.1');
const links = app.get(DownloadLinks);

const actions = {
  mint: ({ name, options }) => links.create(FilesController, 'file', { params: { name }, ...options }),
  revoke: ({ target: { issuedBefore, ...target } }) =>
    links.revoke({ ...target, issuedBefore: issuedBefore && new Date(issuedBefore) }),
  resource: ({ name }) => links.resource(FilesController, 'file', { params: { name } }),
  usage: ({ id }) => links.usage(id),
};

process.on('message', (message) => {
  const answer = (outcome) => process.send({ type: 'answer', to: message.number, ...outcome });
  Promise.resolve()
    .then(() => actions[message.do](message))
    .then(
      (result) => answer({ result }),
      (error) => answer({ error: String(error) }),
    );
});
process.on('disconnect', () => process.exit());
process.send({ type: 'ready' });
process.send({ type: 'listening', port: app.getHttpServer().address().port });
