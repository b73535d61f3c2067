import { authRule } from './application-guard.js';
import type { DownloadAuth } from './application-guard.js';
import { resolveDelivery } from './delivery/options.js';
import type { StreamDownloadOptions } from './download-auth-options.js';
import { STREAM_DOWNLOAD } from './http/handler-metadata.js';
import type { ResolvedOptions } from './resolve-options.js';
import { anything, boolean, callable, checkOptions, rule } from './shared/check-options.js';
import type { OptionRules } from './shared/check-options.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { ALL_TRANSPORTS, resolveTransports } from './tokens/transports.js';
import type { TransportOptions, Transports } from './tokens/transports.js';

const RULES: OptionRules<StreamDownloadOptions> = {
  name: rule((name) => typeof name === 'string' && name !== '', "give a text, such as 'file'."),
  auth: authRule,
  subject: callable,
  challenge: callable,
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
  resolveTransports(options.transports, ALL_TRANSPORTS);
  resolveDelivery(options.delivery);
}

/** The options of the decorators on a controller and on its handler. Those of the handler win. */
export type RouteOptions = Readonly<Record<'controller' | 'handler', StreamDownloadOptions>>;

export function routeOptions(controller: object, handler: object): RouteOptions {
  const of = (target: object) =>
    (Reflect.getMetadata(STREAM_DOWNLOAD, target) ?? {}) as StreamDownloadOptions;
  return { controller: of(controller), handler: of(handler) };
}

/** What holds for one route: the module's options, under those of `@StreamDownload()`. */
export interface RoutePolicy {
  readonly auth: DownloadAuth;
  readonly subject: StreamDownloadOptions['subject'];
  readonly challenge: StreamDownloadOptions['challenge'];
  readonly transports: Transports;
  readonly requireSecureConnection: boolean;
}

/** @throws DownloadAuthConfigurationError where no transport is on, or a key is missing that `auth` needs */
export function routePolicy(options: ResolvedOptions, { controller, handler }: RouteOptions): RoutePolicy {
  const auth = handler.auth ?? controller.auth ?? options.auth;
  if (auth === 'token' && !options.keySource) {
    throw new DownloadAuthConfigurationError(
      "auth: 'token' needs the key of the access tokens. Write forRoot({ secret: process.env.JWT_SECRET }), or " +
        'say who may download otherwise: auth: YourGuard.',
    );
  }
  if (auth === 'links' && options.linkKeys.length === 0) {
    throw new DownloadAuthConfigurationError(
      "auth: 'links' needs the secret of links. Write forRoot({ links: { secret: process.env.LINK_SECRET } }).",
    );
  }
  const looksAtNothing = auth === false && options.isSecureByDefault;
  return {
    auth,
    subject: handler.subject ?? controller.subject ?? options.subject,
    challenge: handler.challenge ?? controller.challenge ?? options.challenge,
    transports: resolveTransports(
      { ...controller.transports, ...defined(handler.transports) },
      options.transports,
    ),
    requireSecureConnection:
      handler.requireSecureConnection ??
      controller.requireSecureConnection ??
      (options.requireSecureConnection && !looksAtNothing),
  };
}

/** Without members that are `undefined`, which leave the choice to the controller. */
function defined(transports: TransportOptions = {}): TransportOptions {
  return Object.fromEntries(Object.entries(transports).filter(([, value]) => value !== undefined));
}
