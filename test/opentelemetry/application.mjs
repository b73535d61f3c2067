// An application with downloads, traced by ./tracing.mjs. Arguments: the folder of the compiled library, the
// adapter. It says `listening`, and when told to end, `recorded`.
import 'reflect-metadata';
import { Controller, Get, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { get } from 'node:http';
import { createRequire } from 'node:module';
import { pino } from 'pino';
import { pinoHttp } from 'pino-http';

const [folder, adapter] = process.argv.slice(2);
const library = createRequire(import.meta.url)(`${folder}/index.js`);
const { Download, DownloadAuthModule, DownloadLinks, redactUrl, StreamDownload } = library;

const file = () => Download.buffer(Buffer.from('a file'), { filename: 'a.txt' });
const byHttp = (url) =>
  new Promise((resolve, reject) =>
    get(url, (response) => resolve(response.resume().statusCode)).on('error', reject),
  );

class FilesController {
  file() {
    return file();
  }

  posted() {
    return file();
  }

  /** Downloads from this application, with node:http and with fetch, and from one that does not answer. */
  async relay() {
    const cookie = `a=b; ss-tok=${link.token}`;
    const own = `http://127.0.0.1:${port}${link.url}`;
    const other = `http://127.0.0.1:2${link.url}`;
    const fetched = await fetch(own, { headers: { cookie, referer: own } });
    const failed = [await byHttp(other).catch(() => 'failed'), await fetch(other).catch(() => 'failed')];
    return [await byHttp(own), fetched.status, ...failed];
  }

  broken() {
    throw new Error(`cannot read ${link.url}`);
  }
}
for (const [method, ...decorators] of [
  ['file', Get('files/:id'), StreamDownload()],
  ['posted', Post('files/:id'), StreamDownload({ transports: { form: true } })],
  ['relay', Get('relay')],
  ['broken', Get('broken')],
]) {
  const descriptor = Object.getOwnPropertyDescriptor(FilesController.prototype, method);
  decorators.forEach((decorator) => decorator(FilesController.prototype, method, descriptor));
}
Controller()(FilesController);

class AppModule {}
Module({
  imports: [DownloadAuthModule.forRoot({ secret: 'a secret for tests that is long enough to be one' })],
  controllers: [FilesController],
})(AppModule);

const lines = [];
const { ExpressAdapter, FastifyAdapter } = await import(`@nestjs/platform-${adapter}`);
const server =
  adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter({ forceCloseConnections: true });
const app = await NestFactory.create(AppModule, server, { logger: false, forceCloseConnections: true });
app.use(
  pinoHttp({
    logger: pino({}, { write: (line) => void lines.push(line) }),
    serializers: { req: (req) => ({ ...req, url: redactUrl(req.url), query: undefined }) },
    redact: ['req.headers.authorization', 'req.headers.cookie', 'req.headers.referer'],
  }),
);
await app.listen(0, '127.0.0.1');
const { port } = app.getHttpServer().address();
const link = app.get(DownloadLinks).create(FilesController, 'file', { params: { id: '1' } });
process.send({ type: 'listening', port, link });

process.on('message', async () => {
  await app.close();
  process.send({ type: 'recorded', lines, ...(await globalThis.recorded()) });
});
