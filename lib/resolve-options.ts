import { authRule } from './application-guard.js';
import { resolveDelivery } from './delivery/options.js';
import type { DownloadAuthOptions } from './download-auth-options.js';
import { resolveLinkOptions } from './links/options.js';
import { createLinkKeys } from './links/link-tokens.js';
import { resolvePromptOptions } from './prompts/options.js';
import {
  anything,
  boolean,
  callable,
  checkOptions,
  duration,
  oneOf,
  rule,
  wholeNumber,
} from './shared/check-options.js';
import type { OptionRules } from './shared/check-options.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { durationInSeconds } from './shared/duration.js';
import { callableAtOnce } from './shared/hooks.js';
import { resolveCookie } from './tokens/download-cookie.js';
import { unsetSecret } from './tokens/key-material.js';
import { createKeySource, KEY_RULES } from './tokens/keys.js';
import { ACCESS_TOKEN_RULES, resolveAccessPolicy } from './tokens/token-options.js';
import { resolveTokenNames, resolveTransports } from './tokens/transports.js';

/** Injection token of the checked options. Nest's error names it where the module is not imported. */
export const RESOLVED_OPTIONS = Symbol('DownloadAuthModule.forRoot()');

const DEFAULT_SHUTDOWN_TIMEOUT = '10s';
/** Some 5,000 tokens of 2 KiB, or 20,000 small ones. */
const DEFAULT_CACHE_BYTES = 32 * 1024 * 1024;

/** `anything`: checked by the room that the option belongs to. */
const RULES: OptionRules<DownloadAuthOptions> = {
  ...KEY_RULES,
  ...ACCESS_TOKEN_RULES,
  auth: authRule,
  subject: callable,
  challenge: callable,
  tokenName: anything,
  transports: anything,
  cookie: anything,
  links: anything,
  delivery: anything,
  prompts: anything,
  leases: anything,
  requireSecureConnection: boolean,
  verifiedTokenCacheBytes: wholeNumber(0, undefined, ', or 0 for no cache'),
  shutdownTimeout: duration(),
  refusals: oneOf('answer', 'throw'),
  refusalPage: (page) => {
    const advice = page === false ? undefined : callableAtOnce(page);
    return advice && `${advice} It returns HTML; false answers JSON only.`;
  },
  clock: rule(
    (clock) => typeof clock === 'function' && Number.isFinite((clock as () => unknown)()),
    'give a function that returns milliseconds since 1970, as Date.now does.',
  ),
};

/**
 * @throws DownloadAuthConfigurationError without options: an unset variable, a factory that returns nothing
 */
export function requireOptions(options: unknown): void {
  if (options === undefined || options === null) {
    throw new DownloadAuthConfigurationError(
      'There are no options. Write DownloadAuthModule.forRoot({ secret: process.env.JWT_SECRET }); a factory must return them.',
    );
  }
}

/** The checked options of the module, with every default filled in. */
export type ResolvedOptions = Readonly<ReturnType<typeof resolveOptions>>;

/**
 * Checks the options and fills in the defaults.
 * @throws DownloadAuthConfigurationError that says what to write instead
 */
export function resolveOptions(options: DownloadAuthOptions) {
  requireOptions(options);
  checkOptions(options, RULES, 'forRoot', '');
  if (options.refusals === 'throw' && options.refusalPage) {
    throw new DownloadAuthConfigurationError(
      "refusalPage: with refusals: 'throw' the filters of the application answer. Leave one of the two out.",
    );
  }
  const { auth = 'token', clock = Date.now, shutdownTimeout = DEFAULT_SHUTDOWN_TIMEOUT } = options;
  const needsKey = auth === 'token' || hasAccessTokens(options);
  const keySource = needsKey ? createKeySource(options, clock) : undefined;
  const linkKeys = createLinkKeys(options);
  if (linkKeys.length === 0 && options.links && 'secret' in options.links) {
    throw new DownloadAuthConfigurationError(
      `${unsetSecret('links.secret')}. To make no links, leave it out.`,
    );
  }
  const tokenNames = resolveTokenNames(options.tokenName);
  resolveDelivery(options.delivery);
  const isProduction = process.env.NODE_ENV === 'production';
  return {
    auth,
    subject: options.subject,
    challenge: options.challenge,
    /** Undefined where no key is configured, which `auth: 'token'` needs. */
    keySource,
    linkKeys,
    accessPolicy: resolveAccessPolicy(options),
    validate: options.validate,
    tokenNames,
    transports: resolveTransports(options.transports),
    cookie: resolveCookie(options.cookie, tokenNames.cookie),
    links: resolveLinkOptions(options.links),
    /** Those of a route are laid over them. */
    delivery: options.delivery,
    prompts: resolvePromptOptions(options.prompts),
    leases: options.leases,
    requireSecureConnection: options.requireSecureConnection ?? isProduction,
    /** Plain HTTP is refused because of NODE_ENV alone. */
    isSecureByDefault: options.requireSecureConnection === undefined && isProduction,
    verifiedTokenCacheBytes: options.verifiedTokenCacheBytes ?? DEFAULT_CACHE_BYTES,
    /** Seconds. */
    shutdownTimeout: durationInSeconds(shutdownTimeout),
    refusals: options.refusals ?? 'answer',
    refusalPage: options.refusalPage,
    clock,
  };
}

/** Whether anything is said of access tokens, which then need a key. */
function hasAccessTokens(options: DownloadAuthOptions): boolean {
  const names = Object.keys({ ...KEY_RULES, ...ACCESS_TOKEN_RULES }) as (keyof DownloadAuthOptions)[];
  return names.some((name) => options[name] !== undefined);
}
