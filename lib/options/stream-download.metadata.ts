import type { ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import type { StreamDownloadOptions } from './download-auth-options.js';

/** Metadata key under which `@StreamDownload()` keeps its options. */
export const STREAM_DOWNLOAD = 'nestjs-download-auth:stream-download';

/** The options of the decorators on a route: on its controller, and on its handler, which goes before. */
export function routeOptions(
  reflector: Reflector,
  context: ExecutionContext,
): Record<'controller' | 'handler', StreamDownloadOptions> {
  const of = (target: Parameters<Reflector['get']>[1]): StreamDownloadOptions =>
    reflector.get<StreamDownloadOptions | undefined>(STREAM_DOWNLOAD, target) ?? {};
  return { controller: of(context.getClass()), handler: of(context.getHandler()) };
}
