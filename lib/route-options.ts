import { authRule } from './application-guard.js';
import { resolveDelivery } from './delivery/options.js';
import type { StreamDownloadOptions } from './download-auth-options.js';
import { markedOptions } from './http/handler-metadata.js';
import type { ResolvedOptions } from './resolve-options.js';
import { anything, boolean, callable, checkOptions, rule } from './shared/check-options.js';
import type { OptionRules } from './shared/check-options.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { ALL_TRANSPORTS, resolveTransports } from './tokens/transports.js';

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

/** The options of the decorators on a controller and on its handler, which wins. */
export function routeOptions(controller: object, handler: object): StreamDownloadOptions {
  return (markedOptions(controller, handler) ?? {}) as StreamDownloadOptions;
}

/** What holds for one route: the module's options, under those of `@StreamDownload()`. */
export type RoutePolicy = Readonly<ReturnType<typeof routePolicy>>;

/** @throws DownloadAuthConfigurationError where no transport is on, or a key is missing that `auth` needs */
export function routePolicy(options: ResolvedOptions, controller: object, handler: object) {
  const own = routeOptions(controller, handler);
  const auth = own.auth ?? options.auth;
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
    subject: own.subject ?? options.subject,
    challenge: own.challenge ?? options.challenge,
    transports: resolveTransports(own.transports, options.transports),
    requireSecureConnection:
      own.requireSecureConnection ?? (options.requireSecureConnection && !looksAtNothing),
  };
}
