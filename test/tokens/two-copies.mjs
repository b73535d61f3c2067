// Serves with two copies of the compiled library, closes the application of the first, and prints the status
// codes of: both, before that; the second, after that. Arguments: the folders of the copies, the adapter.
import 'reflect-metadata';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import jsonwebtoken from 'jsonwebtoken';
import { pathToFileURL } from 'node:url';

const [first, second, adapter] = process.argv.slice(2);
const SECRET = 'a secret that both copies of the test share';

async function serve(folder) {
  const { DownloadAuthModule, StreamDownload } = await import(pathToFileURL(`${folder}/index.js`).href);
  class FilesController {
    file() {
      return 'file';
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(FilesController.prototype, 'file');
  Get('file')(FilesController.prototype, 'file', descriptor);
  StreamDownload()(FilesController.prototype, 'file', descriptor);
  Controller()(FilesController);

  class AppModule {}
  const imports = [DownloadAuthModule.forRoot({ secret: SECRET })];
  Module({ imports, controllers: [FilesController] })(AppModule);
  const { ExpressAdapter, FastifyAdapter } = await import(`@nestjs/platform-${adapter}`);
  const server = adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(AppModule, server, { logger: false, forceCloseConnections: true });
  await app.listen(0, '127.0.0.1');
  return app;
}

async function statusOf(app) {
  // a token of its own each time, so that none is remembered
  const token = jsonwebtoken.sign({ jti: String(Math.random()) }, SECRET, { expiresIn: '1h' });
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${await app.getUrl()}/file`, { headers })).status;
}

const apps = [await serve(first), await serve(second)];
const statuses = [await statusOf(apps[0]), await statusOf(apps[1])];
await apps[0].close();
statuses.push(await statusOf(apps[1]));
await apps[1].close();
console.log(JSON.stringify(statuses));
