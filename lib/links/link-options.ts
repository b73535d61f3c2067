import type { AnyRequest } from '../http/http-exchange.js';
import { anything, callable, checkOptions, duration, rule } from '../shared/check-options.js';
import { type Duration, durationInSeconds } from '../shared/duration.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import { resolveToldRoutes, type ToldRoute, type ToldRouteOptions } from './told-route.js';

/** The longest that a link may live, in seconds: 7 days. */
export const MAX_LINK_LIFETIME = 7 * 24 * 60 * 60;

const DEFAULT_LIFETIME = '5m';

/** What holds for every link of the module. An unknown member keeps the application from starting. */
export interface LinkOptions {
  /**
   * The secret of link tokens, at least 32 bytes; several for rotation, the newest first. Needed only
   * where the application's own key is a public key or a resolver: with `secret` or `privateKey` a
   * separate key is derived from it (HKDF, RFC 5869).
   */
  secret?: string | Buffer | readonly (string | Buffer)[];
  /** Lifetime of a link that is minted without one. Default `'5m'`; at most 7 days. */
  expiresIn?: Duration;
  /** Refuses links older than this, whatever their `exp` says: shortens links that are already out. */
  maxAge?: Duration;
  /**
   * What minted URLs start with, such as `https://files.example.com` or `https://example.com/api` behind
   * a proxy that strips `/api`. Default: none, minted URLs start with the path. Never taken from a request.
   */
  publicUrl?: string;
  /** Names of query parameters that a link is not bound to, such as `utm_source`. Default: none. */
  ignoreQuery?: readonly string[];
  /**
   * Where named routes (`@StreamDownload({ name })`) are served, for a process that makes links and does not
   * serve them itself, such as a queue worker: `{ file: '/api/files/:id' }`. Default: none.
   */
  routes?: Readonly<Record<string, string | ToldRouteOptions>>;
  /**
   * Called with the claims of every link that is opened; its answer becomes `request.user`, and a falsy
   * one refuses with 403 `ACCESS_DENIED`. Default: the claims themselves become `request.user`.
   */
  validate?: (claims: TokenClaims, request: AnyRequest) => unknown;
}

/** The options with every default filled in and every duration in seconds. */
export interface ResolvedLinkOptions {
  readonly expiresIn: number;
  readonly maxAge: number | undefined;
  /** Without a slash at its end; empty where none is configured. */
  readonly publicUrl: string;
  readonly ignoreQuery: ReadonlySet<string>;
  readonly routes: ReadonlyMap<string, ToldRoute>;
  readonly validate: LinkOptions['validate'];
}

const RULES = {
  secret: anything,
  expiresIn: duration({
    above: 0,
    most: MAX_LINK_LIFETIME,
    advice: "a link lives 7 days at most, and longer than 0. Write '7d' or less.",
  }),
  maxAge: duration({ above: 0, advice: "0 would refuse every link. Write a duration such as '1h'." }),
  publicUrl: rule(
    isPublicUrl,
    "give the text of an absolute http(s) URL without query, such as 'https://files.example.com/api'.",
  ),
  ignoreQuery: rule(
    (names) => Array.isArray(names) && names.every((name) => typeof name === 'string'),
    "give a list of names, such as ['utm_source'].",
  ),
  routes: anything,
  validate: callable,
};

/**
 * Checks the options of links and fills in the defaults; `secret` is checked where the keys are made.
 * @throws DownloadAuthConfigurationError that says what to write instead
 */
export function resolveLinkOptions(options: LinkOptions = {}): ResolvedLinkOptions {
  checkOptions(options, RULES, 'links');
  const { expiresIn = DEFAULT_LIFETIME, maxAge, publicUrl = '', ignoreQuery, routes, validate } = options;
  return {
    expiresIn: durationInSeconds(expiresIn, 'links.expiresIn'),
    maxAge: maxAge === undefined ? undefined : durationInSeconds(maxAge, 'links.maxAge'),
    publicUrl: publicUrl.replace(/\/+$/, ''),
    ignoreQuery: new Set(ignoreQuery),
    routes: resolveToldRoutes(routes),
    validate,
  };
}

function isPublicUrl(value: unknown): boolean {
  if (value === '') {
    return true;
  }
  if (typeof value !== 'string' || !URL.canParse(value) || /[?#]/.test(value)) {
    return false;
  }
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}
