import type { Reflector } from '@nestjs/core';
import { resolveDelivery } from './delivery/options.js';
import type { StreamDownloadOptions } from './download-auth-options.js';
import { STREAM_DOWNLOAD } from './http/handler-metadata.js';
import type { ResolvedOptions } from './resolve-options.js';
import { anything, boolean, checkOptions, rule } from './shared/check-options.js';
import type { OptionRules } from './shared/check-options.js';
import { resolveTransports } from './tokens/transports.js';
import type { TransportOptions, Transports } from './tokens/transports.js';

const RULES: OptionRules<StreamDownloadOptions> = {
  name: rule((name) => typeof name === 'string' && name !== '', "give a text, such as 'file'."),
  transports: anything,
  requireSecureConnection: boolean,
  delivery: anything,
};

/**
 * Checks what can be checked of a decorator's options before those of the module are known.
 * @throws DownloadAuthConfigurationError that says what to write instead
 */
export function checkRouteOptions(options: StreamDownloadOptions): void {
  checkOptions(options, RULES, '@StreamDownload()', '@StreamDownload() ');
  resolveTransports(options.transports, { header: true, query: true, cookie: true, form: true });
  resolveDelivery(options.delivery);
}

type MetadataTarget = Parameters<Reflector['get']>[1];

/** The options of the decorators on a controller and on its handler. Those of the handler win. */
export function routeOptions(
  reflector: Reflector,
  controller: MetadataTarget,
  handler: MetadataTarget,
): Record<'controller' | 'handler', StreamDownloadOptions> {
  const of = (target: MetadataTarget): StreamDownloadOptions =>
    reflector.get<StreamDownloadOptions | undefined>(STREAM_DOWNLOAD, target) ?? {};
  return { controller: of(controller), handler: of(handler) };
}

/** What holds for one route: the module's options, under those of `@StreamDownload()`. */
export interface RoutePolicy {
  readonly transports: Transports;
  readonly requireSecureConnection: boolean;
}

/** @throws DownloadAuthConfigurationError where the options leave no transport on */
export function routePolicy(
  options: Pick<ResolvedOptions, 'transports' | 'requireSecureConnection'>,
  { controller, handler }: Record<'controller' | 'handler', StreamDownloadOptions>,
): RoutePolicy {
  const own = { ...controller.transports, ...defined(handler.transports) };
  return {
    transports: resolveTransports(own, options.transports),
    requireSecureConnection:
      handler.requireSecureConnection ??
      controller.requireSecureConnection ??
      options.requireSecureConnection,
  };
}

/** Without members that are `undefined`, which leave the choice to the controller. */
function defined(transports: TransportOptions = {}): TransportOptions {
  return Object.fromEntries(Object.entries(transports).filter(([, value]) => value !== undefined));
}
