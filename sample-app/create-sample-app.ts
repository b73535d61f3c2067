import 'reflect-metadata';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { NestFactory } from '@nestjs/core';
import type { INestApplication, LogLevel } from '@nestjs/common';
import { AppModule } from './app.module.js';
import { sameOriginOnly } from './http/same-origin.js';
import type { HttpAdapterName, SampleSettings } from './settings/sample-settings.js';

/**
 * The application, ready to listen.
 * @param logger the lowest level that is logged
 * @throws DownloadAuthConfigurationError, for instance for a secret that is too short
 */
export async function createSampleApp(
  settings: SampleSettings,
  logger: LogLevel[] | false,
): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule.with(settings), await adapterFor(settings.adapter), {
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
