/**
 * The candidates that the benches compare, each started by `start(name, { file })` in a process of its own.
 * Another module of the same shape can take this one's place: `--server ./bench/other-servers.mjs`.
 */
import 'reflect-metadata';
import { Controller, Get, Module, Param, StreamableFile, UseInterceptors } from '@nestjs/common';
import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import { createReadStream, statSync } from 'node:fs';
import { join } from 'node:path';
import { mergeMap } from 'rxjs';

/** Candidate → does it answer ranges. */
export const candidates = {
  'ours-express': true,
  'ours-fastify': true,
  'stock-express': false,
  'stock-express-length': false,
  'stock-fastify': false,
  'express-sendfile': true,
  'fastify-static': true,
  'recipe-express': true,
};

export async function start(name, { folder }) {
  const [kind, framework] = name.split('-');
  if (name === 'express-sendfile') {
    const { default: express } = await import('express');
    const app = express();
    app.get('/:name', (request, response) => response.sendFile(join(folder, request.params.name)));
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port));
    });
  }
  if (name === 'fastify-static') {
    const { fastify } = await import('fastify');
    const app = fastify();
    await app.register((await import('@fastify/static')).default, { root: folder });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return app.server.address().port;
  }
  const handlers = {
    ours: (file) => new StreamableFile(createReadStream(join(folder, file))),
    stock: (file) => {
      const path = join(folder, file);
      const length = name.endsWith('-length') ? statSync(path).size : undefined;
      return new StreamableFile(createReadStream(path), { length });
    },
  };
  class Files {
    file(file, response, request) {
      return kind === 'recipe' ? recipe(join(folder, file), request, response) : handlers[kind](file);
    }
  }
  const { Req, Res } = await import('@nestjs/common');
  Get(':file')(Files.prototype, 'file', Object.getOwnPropertyDescriptor(Files.prototype, 'file'));
  Param('file')(Files.prototype, 'file', 0);
  if (kind === 'recipe') {
    Res({ passthrough: true })(Files.prototype, 'file', 1);
    Req()(Files.prototype, 'file', 2);
  }
  if (kind === 'ours') {
    const { deliver } = await import('../../dist/delivery/deliver.js');
    const { resolveDelivery } = await import('../../dist/delivery/delivery-options.js');
    const options = resolveDelivery();
    class Delivery {
      constructor(host) {
        this.host = host;
      }
      intercept(context, next) {
        const http = context.switchToHttp();
        const adapter = this.host.httpAdapter;
        return next
          .handle()
          .pipe(
            mergeMap((result) =>
              deliver(result, { request: http.getRequest(), response: http.getResponse(), adapter, options }),
            ),
          );
      }
    }
    Reflect.defineMetadata('design:paramtypes', [HttpAdapterHost], Delivery);
    UseInterceptors(Delivery)(Files);
  }
  Controller()(Files);
  class App {}
  Module({ controllers: [Files] })(App);
  const adapter =
    framework === 'fastify'
      ? new (await import('@nestjs/platform-fastify')).FastifyAdapter()
      : new (await import('@nestjs/platform-express')).ExpressAdapter();
  const app = await NestFactory.create(App, adapter, { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  return app.getHttpServer().address().port;
}

/** Ranges as tutorials write them by hand. */
function recipe(path, request, response) {
  const { size } = statSync(path);
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
  if (from === undefined) {
    return new StreamableFile(createReadStream(path), { length: size });
  }
  const start = Number(from);
  const end = to ? Number(to) : size - 1;
  response.status(206).set({ 'Content-Range': `bytes ${start}-${end}/${size}`, 'Accept-Ranges': 'bytes' });
  return new StreamableFile(createReadStream(path, { start, end }), { length: end - start + 1 });
}
