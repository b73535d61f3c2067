import type { Reflector } from '@nestjs/core';
import type { StreamDownloadOptions } from './download-auth-options.js';

/** Metadata key under which `@StreamDownload()` keeps its options. */
export const STREAM_DOWNLOAD = 'nestjs-download-auth:stream-download';

/** The options of the decorators on a route: on its controller, and on its handler, which goes before. */
export function routeOptions(
  reflector: Reflector,
  controller: MetadataTarget,
  handler: MetadataTarget,
): Record<'controller' | 'handler', StreamDownloadOptions> {
  const of = (target: MetadataTarget): StreamDownloadOptions =>
    reflector.get<StreamDownloadOptions | undefined>(STREAM_DOWNLOAD, target) ?? {};
  return { controller: of(controller), handler: of(handler) };
}

/** The name that the decorator of a handler gives its route. */
export function routeName(handler: object): string | undefined {
  return (Reflect.getMetadata(STREAM_DOWNLOAD, handler) as StreamDownloadOptions | undefined)?.name;
}

type MetadataTarget = Parameters<Reflector['get']>[1];
