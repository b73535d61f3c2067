import { Module } from '@nestjs/common';
import type { INestApplication, NestApplicationOptions, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DownloadAuthModule } from '../../lib/index.js';
import type { DownloadAuthOptions } from '../../lib/index.js';
import { send } from './http-client.js';
import type { Answer, RequestOptions } from './http-client.js';

export const SECRET = 'a secret for tests that is long enough to be one';

export const ADAPTERS = ['express', 'fastify'] as const;
export type AdapterName = (typeof ADAPTERS)[number];

export interface TestApp {
  readonly app: INestApplication;
  readonly url: string;
  readonly port: number;
  /** Sends the path as it is spelled, and waits for the whole answer. */
  request(path: string, options?: RequestOptions): Promise<Answer>;
  get<T>(token: Type<T>): T;
  close(): Promise<void>;
}

export interface TestAppOptions {
  adapter: AdapterName;
  controllers: Type[];
  options?: DownloadAuthOptions;
  imports?: any[];
  providers?: any[];
  logger?: any;
  /** Called before the application listens. */
  configure?(app: NestExpressApplication & NestFastifyApplication): void | Promise<void>;
  /** Options of the HTTP server, such as maxHeaderSize. */
  http?: Record<string, unknown>;
  /** Serves HTTPS with this certificate. */
  https?: { key: string; cert: string };
  /** Options of the Nest application, such as bodyParser. */
  nest?: NestApplicationOptions;
  /** Options of Fastify itself, such as trustProxy, caseSensitive or http2. */
  fastify?: Record<string, unknown>;
}

/** Express behind a server of node:http with options, which Nest's own adapter has no place for. */
class ConfiguredExpressAdapter extends ExpressAdapter {
  constructor(private readonly http: Record<string, unknown>) {
    super();
  }

  override initHttpServer(options: Parameters<ExpressAdapter['initHttpServer']>[0]): void {
    super.initHttpServer(options);
    this.httpServer = createServer(this.http, this.getInstance<RequestListener>());
  }
}

/** Starts a real application on a free port of the loopback interface. */
export async function startApp(setup: TestAppOptions): Promise<TestApp> {
  @Module({
    imports: [
      ...(setup.options === undefined && setup.imports
        ? []
        : [DownloadAuthModule.forRoot(setup.options ?? { secret: SECRET })]),
      ...(setup.imports ?? []),
    ],
    controllers: setup.controllers,
    providers: setup.providers ?? [],
  })
  class TestModule {}

  const adapter =
    setup.adapter === 'express'
      ? setup.http
        ? new ConfiguredExpressAdapter(setup.http)
        : new ExpressAdapter()
      : // The adapter of Nest 11 does not hear of the application's forceCloseConnections
        new FastifyAdapter({
          ...(setup.https ? { https: setup.https } : { http: setup.http ?? {} }),
          forceCloseConnections: true,
          ...setup.fastify,
        } as object);
  const app = await NestFactory.create<NestExpressApplication & NestFastifyApplication>(
    TestModule,
    adapter as never,
    {
      logger: setup.logger ?? false,
      abortOnError: false,
      forceCloseConnections: true,
      httpsOptions: setup.https,
      ...setup.nest,
    },
  );
  await setup.configure?.(app);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  const url = `http${setup.https ? 's' : ''}://127.0.0.1:${port}`;
  return {
    app,
    url,
    port,
    request: (path, options) => send(url + path, options),
    get: (token) => app.get(token),
    close: () => app.close(),
  };
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` };
}
