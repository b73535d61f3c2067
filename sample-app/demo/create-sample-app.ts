import 'reflect-metadata';
import type { INestApplication, LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { DemoModule } from './demo.module.js';
import { sameOriginOnly } from './hardening/same-origin.js';
import type { DemoSettings, HttpAdapterName } from './settings.js';

/**
 * The application, ready to listen.
 * @throws DownloadAuthConfigurationError, for instance for a secret that is too short
 */
export async function createSampleApp(
  settings: DemoSettings,
  logger: LogLevel[] | false,
): Promise<INestApplication> {
  const app = await NestFactory.create(DemoModule.with(settings), await adapterFor(settings.adapter), {
    logger,
    abortOnError: false,
    forceCloseConnections: true,
  });
  app.use(sameOriginOnly(settings.hostNames));
  return app.enableShutdownHooks();
}

async function adapterFor(name: HttpAdapterName): Promise<AbstractHttpAdapter> {
  if (name === 'fastify') {
    const { FastifyAdapter } = await import('@nestjs/platform-fastify');
    return new FastifyAdapter({ forceCloseConnections: true });
  }
  const { ExpressAdapter } = await import('@nestjs/platform-express');
  return new ExpressAdapter();
}
