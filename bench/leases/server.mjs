// An application in a process of its own, with a file of 100 kB behind links. Arguments: the folder of the compiled
// library, and as JSON the HTTP adapter and the store. Messages to it: { do: 'mint', count, options } and { do: 'cpu' }.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, description] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(folder, path)).href);
const { Download, DownloadAuthModule, DownloadLinks, StreamDownload } = await load('index.js');
const { adapter, sqlite, redis } = JSON.parse(description);
const store =
  (sqlite && new (await load('leases/sqlite/index.js')).SqliteLeaseStore(sqlite)) ??
  (redis && new (await load('leases/redis/index.js')).RedisLeaseStore(redis));
const { ExpressAdapter, FastifyAdapter } = await import(`@nestjs/platform-${adapter}`);

const bytes = Buffer.alloc(100_000, 'limited');
class FilesController {
  file() {
    return Download.buffer(bytes, { etag: 'v1' });
  }
}
const file = Object.getOwnPropertyDescriptor(FilesController.prototype, 'file');
Get('file')(FilesController.prototype, 'file', file);
StreamDownload()(FilesController.prototype, 'file', file);
Controller()(FilesController);

class AppModule {}
Module({
  imports: [
    DownloadAuthModule.forRoot({
      secret: 'a secret that is long enough for a measurement',
      leases: { store },
    }),
  ],
  controllers: [FilesController],
})(AppModule);

const server = adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter();
const app = await NestFactory.create(AppModule, server, { logger: false });
await app.listen(0, '127.0.0.1');
const links = app.get(DownloadLinks);

const actions = {
  mint: ({ count, options }) =>
    Array.from({ length: count }, () => links.create(FilesController, 'file', options).url),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
};
process.on('message', (message) => process.send(actions[message.do](message)));
process.on('disconnect', () => process.exit());
process.send(app.getHttpServer().address().port);
