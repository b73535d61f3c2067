import { createLinkKeys, type LinkKey } from '../links/link-keys.js';
import { resolveToldRoutes, type ToldRoute } from '../links/told-route.js';
import type { LeaseOptions } from '../leases/lease-options.js';
import type { AccessPolicy } from '../tokens/access-tokens.js';
import { createKeySource, type KeySource } from '../tokens/keys.js';
import {
  type CookieOptions,
  resolveAccessPolicy,
  resolveCookie,
  resolveTokenNames,
  resolveTransports,
  type TokenNames,
  type TransportOptions,
} from '../tokens/token-options.js';
import { type ResolvedDelivery, resolveDelivery } from '../delivery/delivery-options.js';
import { DownloadAuthConfigurationError } from './configuration-error.js';
import type { DownloadAuthOptions, LinkOptions, RefusalPage } from './download-auth-options.js';
import { durationInSeconds } from './duration.js';
import { checkTypes } from './option-types.js';
import { refuseUnknown } from './unknown-option.js';

/** Injection token of the checked options. */
export const RESOLVED_OPTIONS = Symbol('nestjs-download-auth:options');

/** Seconds a link may live at the most: 7 days. */
export const MAX_LINK_LIFETIME = 7 * 24 * 60 * 60;

const DEFAULT_SHUTDOWN_TIMEOUT = '10s';
const DEFAULT_LINK_LIFETIME = '5m';
const DEFAULT_CACHE_SIZE = 1000;

const KNOWN = {
  options: [
    'secret', 'publicKey', 'privateKey', 'keys', 'secretOrKeyProvider', 'algorithms', 'issuer', 'audience',
    'accept', 'requireExpiration', 'clockTolerance', 'maxTokenAge', 'notIssuedBefore', 'validate', 'tokenName', 'transports', 'cookie', 'links', 'delivery', 'leases',
    'requireSecureConnection', 'verifiedTokenCacheSize', 'shutdownTimeout', 'refusalPage', 'clock',
  ],
  links: ['secret', 'expiresIn', 'maxAge', 'publicUrl', 'ignoreQuery', 'routes', 'validate'],
}; // prettier-ignore

const TYPES = {
  requireExpiration: 'boolean',
  requireSecureConnection: 'boolean',
  secretOrKeyProvider: 'function',
  validate: 'function',
  clock: 'function',
} as const;

/** The options with every default filled in and every duration in seconds. */
export interface ResolvedOptions {
  readonly keySource: KeySource;
  readonly linkKeys: readonly LinkKey[];
  readonly accessPolicy: AccessPolicy;
  readonly validate: DownloadAuthOptions['validate'];
  readonly tokenNames: TokenNames;
  readonly transports: Required<TransportOptions>;
  readonly cookie: CookieOptions;
  readonly links: ResolvedLinkOptions;
  readonly delivery: ResolvedDelivery;
  readonly leases: LeaseOptions | undefined;
  readonly requireSecureConnection: boolean;
  readonly verifiedTokenCacheSize: number;
  /** Seconds. */
  readonly shutdownTimeout: number;
  readonly refusalPage: RefusalPage | false | undefined;
  readonly clock: () => number;
}

export interface ResolvedLinkOptions {
  readonly expiresIn: number;
  readonly maxAge: number | undefined;
  /** Without a slash at its end; empty where none is configured. */
  readonly publicUrl: string;
  readonly ignoreQuery: ReadonlySet<string>;
  readonly routes: ReadonlyMap<string, ToldRoute>;
  readonly validate: LinkOptions['validate'];
}

/** @throws DownloadAuthConfigurationError where there are none: a variable that is not set, a factory without return */
export function requireOptions(options: unknown): void {
  if (options !== undefined && options !== null) return;
  throw new DownloadAuthConfigurationError(
    'forRoot: there are no options. Give at least { secret: process.env.JWT_SECRET }; a factory must return them.',
  );
}

/**
 * Checks the options and fills in the defaults.
 * @throws DownloadAuthConfigurationError that says what to write instead
 */
export function resolveOptions(options: DownloadAuthOptions): ResolvedOptions {
  requireOptions(options);
  refuseUnknown(options, KNOWN.options, 'forRoot');
  checkTypes(options, TYPES);
  const clock = options.clock ?? Date.now;
  const tokenNames = resolveTokenNames(options.tokenName);
  return {
    keySource: createKeySource(options, clock),
    linkKeys: createLinkKeys(options),
    accessPolicy: resolveAccessPolicy(options),
    validate: options.validate,
    tokenNames,
    transports: resolveTransports(options.transports, {
      header: true,
      query: true,
      cookie: true,
      form: false,
    }),
    cookie: resolveCookie(options.cookie, tokenNames.cookie),
    links: resolveLinks(options.links ?? {}),
    delivery: resolveDelivery(options.delivery),
    leases: options.leases,
    requireSecureConnection: options.requireSecureConnection ?? process.env.NODE_ENV === 'production',
    verifiedTokenCacheSize: checkedSize(options.verifiedTokenCacheSize ?? DEFAULT_CACHE_SIZE),
    shutdownTimeout: durationInSeconds(
      options.shutdownTimeout ?? DEFAULT_SHUTDOWN_TIMEOUT,
      'shutdownTimeout',
    ),
    refusalPage: checkedPage(options.refusalPage),
    clock,
  };
}

function resolveLinks(links: LinkOptions): ResolvedLinkOptions {
  refuseUnknown(links, KNOWN.links, 'links');
  checkTypes(links, { validate: 'function' }, 'links.');
  const expiresIn = durationInSeconds(links.expiresIn ?? DEFAULT_LINK_LIFETIME, 'links.expiresIn');
  if (expiresIn > MAX_LINK_LIFETIME || expiresIn === 0) {
    throw new DownloadAuthConfigurationError(
      "links.expiresIn: a link lives 7 days at most, and not 0. Write '7d' or less.",
    );
  }
  return {
    expiresIn,
    maxAge: checkedMaxAge(links.maxAge),
    publicUrl: checkedPublicUrl(links.publicUrl),
    ignoreQuery: new Set(checkedNames(links.ignoreQuery)),
    routes: resolveToldRoutes(links.routes),
    validate: links.validate,
  };
}

function checkedMaxAge(maxAge: LinkOptions['maxAge']): number | undefined {
  const seconds = maxAge === undefined ? undefined : durationInSeconds(maxAge, 'links.maxAge');
  if (seconds !== 0) return seconds;
  throw new DownloadAuthConfigurationError(
    "links.maxAge: 0 would refuse every link. Write a duration such as '1h'.",
  );
}

function checkedNames(names: unknown): readonly string[] | undefined {
  if (names === undefined) return undefined;
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names;
  throw new DownloadAuthConfigurationError(
    "links.ignoreQuery: give a list of names, such as ['utm_source'].",
  );
}

function checkedPage(page: DownloadAuthOptions['refusalPage']): DownloadAuthOptions['refusalPage'] {
  if (page === undefined || page === false || typeof page === 'function') return page;
  throw new DownloadAuthConfigurationError(
    'refusalPage: give a function that returns HTML, or false for JSON only.',
  );
}

function checkedPublicUrl(publicUrl: string | undefined): string {
  if (publicUrl === undefined || publicUrl === '') return '';
  const url = typeof publicUrl === 'string' && URL.canParse(publicUrl) ? new URL(publicUrl) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || /[?#]/.test(publicUrl) || url.username || url.password) {
    throw new DownloadAuthConfigurationError(
      `links.publicUrl: ${JSON.stringify(publicUrl)} must be the text of an absolute http(s) URL without query, such as 'https://files.example.com/api'.`,
    );
  }
  return publicUrl.replace(/\/+$/, '');
}

function checkedSize(size: number): number {
  if (Number.isSafeInteger(size) && size >= 0) return size;
  throw new DownloadAuthConfigurationError(
    'verifiedTokenCacheSize: give a whole number of tokens, or 0 for no cache.',
  );
}
