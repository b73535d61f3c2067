import { resolveTransports, type TransportOptions } from '../tokens/token-options.js';
import type { StreamDownloadOptions } from './download-auth-options.js';
import type { ResolvedOptions } from './resolve-options.js';

/** What one route decided: the module's options, with those of `@StreamDownload()` laid over them. */
export interface RoutePolicy {
  readonly transports: Required<TransportOptions>;
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

/** Without members that are undefined, which say nothing. */
function defined(transports: TransportOptions = {}): TransportOptions {
  return Object.fromEntries(Object.entries(transports).filter(([, value]) => value !== undefined));
}
