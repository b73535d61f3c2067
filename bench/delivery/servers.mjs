/**
 * The candidates that the benches compare, each started by `start(name, { folder })` in a process of its own.
 * A name is who answers, the adapter, and what is different: `ours-express`, `ours-express-guarded`,
 * `stock-express-length`. Another module of the same shape can take this one's place: `--server
 * ./bench/other-servers.mjs`.
 */
import 'reflect-metadata';
import { Controller, Get, Module, Param, Req, Res, StreamableFile, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport';
import fresh from 'fresh';
import { createReadStream, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { Download, DownloadAuthModule, StreamDownload } from '../../dist/index.js';
import { SECRET } from './token.mjs';

const OTHERS = { 'express-sendfile': startExpress, 'fastify-static': startFastify };

export function start(name, { folder }) {
  return OTHERS[name] ? OTHERS[name](folder) : startNest(name, folder);
}

async function startExpress(folder) {
  const { default: express } = await import('express');
  const app = express();
  app.get('/:name', (request, response) => response.sendFile(join(folder, request.params.name)));
  return new Promise((resolve) => {
    const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port));
  });
}

async function startFastify(folder) {
  const { fastify } = await import('fastify');
  const app = fastify();
  await app.register((await import('@fastify/static')).default, { root: folder });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return app.server.address().port;
}

async function startNest(name, folder) {
  const [kind, framework, variant] = name.split('-');
  const handlers = {
    ours: (path) => new StreamableFile(createReadStream(path)),
    path: (path) => Download.file(path),
    stock: (path) =>
      new StreamableFile(createReadStream(path), {
        length: variant === 'length' ? statSync(path).size : undefined,
      }),
    fresh: freshOrStream,
    recipe,
    sendfile: (path, _request, response) =>
      void response.sendFile(framework === 'express' ? path : basename(path)),
  };
  class Files {
    hello() {
      return 'hello';
    }

    file(file, response, request) {
      return handlers[kind](join(folder, file), request, response);
    }
  }
  // First: routes are matched in the order of the methods
  Get('hello')(Files.prototype, 'hello', Object.getOwnPropertyDescriptor(Files.prototype, 'hello'));
  const descriptor = Object.getOwnPropertyDescriptor(Files.prototype, 'file');
  Get(':file')(Files.prototype, 'file', descriptor);
  Param('file')(Files.prototype, 'file', 0);
  if (kind === 'recipe' || kind === 'fresh' || kind === 'sendfile') {
    Res({ passthrough: kind !== 'sendfile' })(Files.prototype, 'file', 1);
    Req()(Files.prototype, 'file', 2);
  }
  const isGuarded = variant === 'guarded';
  decorate(kind, isGuarded)(Files.prototype, 'file', descriptor);
  Controller()(Files);
  class App {}
  Module({ controllers: [Files], ...parts(kind, isGuarded) })(App);
  const app = await NestFactory.create(App, await adapterOf(framework), { logger: ['error'] });
  if (kind === 'sendfile' && framework === 'fastify') {
    await app.register((await import('@fastify/static')).default, { root: folder, serve: false });
  }
  await app.listen(0, '127.0.0.1');
  return app.getHttpServer().address().port;
}

async function adapterOf(framework) {
  return framework === 'fastify'
    ? new (await import('@nestjs/platform-fastify')).FastifyAdapter()
    : new (await import('@nestjs/platform-express')).ExpressAdapter();
}

const isOurs = (kind) => kind === 'ours' || kind === 'path';

/** What stands on the handler. */
function decorate(kind, isGuarded) {
  if (isOurs(kind)) {
    return StreamDownload({ auth: isGuarded ? 'token' : false });
  }
  return isGuarded ? UseGuards(AuthGuard('jwt')) : () => {};
}

/** What the module needs for it. */
function parts(kind, isGuarded) {
  if (isOurs(kind)) {
    return { imports: [DownloadAuthModule.forRoot({ secret: SECRET })] };
  }
  return isGuarded ? { imports: [PassportModule], providers: [RecipeStrategy] } : {};
}

/** As Nest's documentation has it. */
class RecipeStrategy extends PassportStrategy(Strategy) {
  constructor() {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      ignoreExpiration: false,
      secretOrKey: SECRET,
    });
  }

  validate(payload) {
    return { userId: payload.sub };
  }
}

/** Conditions by hand: `fresh` is what Express calls for its own answers. */
function freshOrStream(path, request, response) {
  const { size, mtime } = statSync(path);
  const etag = `W/"${size.toString(16)}-${mtime.getTime().toString(16)}"`;
  const validators = { etag, 'last-modified': mtime.toUTCString() };
  Object.entries(validators).forEach(([name, value]) => response.header(name, value));
  if (fresh(request.headers, validators)) {
    response.status(304);
    return undefined;
  }
  return new StreamableFile(createReadStream(path), { length: size });
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
  response.status(206);
  response.header('Content-Range', `bytes ${start}-${end}/${size}`);
  response.header('Accept-Ranges', 'bytes');
  return new StreamableFile(createReadStream(path, { start, end }), { length: end - start + 1 });
}
