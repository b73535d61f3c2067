import type { AnyRequest } from '../http/http-exchange.js';
import type { LeaseOptions } from '../leases/options.js';
import { boolean, callable, checkOptions, duration, oneOf, rule } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import type { CookieOptions } from '../tokens/download-cookie.js';
import type { TokenNames } from '../tokens/transports.js';
import { standIn } from './adapter-router.js';
import type { ReachedRoute } from './route-registry.js';

/** The longest that a link may live, in seconds: 7 days. */
export const MAX_LINK_LIFETIME = 7 * 24 * 60 * 60;

const DEFAULT_LIFETIME = '5m';

/** Angular's service worker leaves requests with this query parameter alone. */
export const NGSW_BYPASS = 'ngsw-bypass';

/** Where a named route of another process is served. */
export interface ToldRouteOptions {
  /** The whole path, global prefix and version included, as the adapter has it: `/api/files/:id`. */
  path: string;
  /** `'POST'` for a handler with `@Post()`. Default `'GET'`. */
  method?: 'GET' | 'POST';
  /**
   * The adapter of that process. Default: either; then only parameters that both read alike can be given, of
   * 100 characters at most.
   */
  adapter?: 'express' | 'fastify';
}

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
   * What minted URLs start with, such as `https://files.example.com`, or `https://example.com/api` or `/api`
   * behind a proxy that strips `/api`. Default: none, minted URLs start with the path. Never taken from a
   * request.
   */
  publicUrl?: string;
  /**
   * Names of query parameters that a link is not bound to, such as `utm_source`. Default: none; `ngsw-bypass`
   * never counts.
   */
  ignoreQuery?: readonly string[];
  /**
   * Adds `ngsw-bypass` to minted URLs, so that Angular's service worker leaves them to the browser. Default:
   * false.
   */
  ngswBypass?: boolean;
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

/** The checked options of links, with every default filled in. */
export type ResolvedLinkOptions = Readonly<ReturnType<typeof resolveLinkOptions>>;

/** What this room reads of the module's options. */
export interface LinkSettings {
  readonly auth: unknown;
  readonly subject: unknown;
  readonly challenge: unknown;
  readonly links: ResolvedLinkOptions;
  readonly tokenNames: TokenNames;
  readonly cookie: CookieOptions;
  readonly leases: LeaseOptions | undefined;
  readonly clock: () => number;
}

const RULES: OptionRules<LinkOptions> = {
  secret: rule((secret) => !Array.isArray(secret) || secret.length > 0, 'give at least one secret.'),
  expiresIn: duration({
    above: 0,
    most: MAX_LINK_LIFETIME,
    advice: "a link lives 7 days at most, and longer than 0. Write '7d' or less.",
  }),
  maxAge: duration({ above: 0, advice: "0 would refuse every link. Write a duration such as '1h'." }),
  publicUrl: rule(
    isPublicUrl,
    "give the text of an absolute http(s) URL without query, such as 'https://files.example.com/api', or a path such as '/api'.",
  ),
  ignoreQuery: rule(
    (names) => Array.isArray(names) && names.every((name) => typeof name === 'string'),
    "give a list of names, such as ['utm_source'].",
  ),
  ngswBypass: boolean,
  routes: rule(
    (routes) => typeof routes === 'object' && routes !== null && !Array.isArray(routes),
    "give an object of names and paths, such as { file: '/api/files/:id' }.",
  ),
  validate: callable,
};

const TOLD_ROUTE_RULES: OptionRules<ToldRouteOptions> = {
  path: rule(
    (path) => typeof path === 'string' && path.startsWith('/'),
    "give the whole path of the route, such as '/api/files/:id'.",
  ),
  method: oneOf('GET', 'POST'),
  adapter: oneOf('express', 'fastify'),
};

/**
 * Checks the options of links and fills in the defaults; a secret is checked where its key is made.
 * @throws DownloadAuthConfigurationError that says what to write instead
 */
export function resolveLinkOptions(options: LinkOptions = {}) {
  checkOptions(options, RULES, 'links');
  const {
    expiresIn = DEFAULT_LIFETIME,
    maxAge,
    publicUrl = '',
    ignoreQuery = [],
    ngswBypass = false,
    routes = {},
    validate,
  } = options;
  const { hostname, pathname = publicUrl }: Partial<URL> = URL.canParse(publicUrl) ? new URL(publicUrl) : {};
  return {
    /** Seconds, as is `maxAge`. */
    expiresIn: durationInSeconds(expiresIn),
    maxAge: maxAge === undefined ? undefined : durationInSeconds(maxAge),
    /** Without a slash at its end; empty where none is configured. */
    publicUrl: publicUrl.replace(/\/+$/, ''),
    publicHost: hostname,
    /** What a proxy strips from requests; empty where it strips nothing. */
    publicPath: pathname.replace(/\/+$/, ''),
    ignoreQuery: new Set<string>([...ignoreQuery, NGSW_BYPASS]),
    ngswBypass,
    /** Named routes of other processes. */
    routes: new Map(Object.entries(routes).map(([name, told]) => [name, toldRoute(name, told)])),
    validate,
  };
}

function toldRoute(name: string, told: string | ToldRouteOptions): ReachedRoute {
  const options = typeof told === 'string' ? { path: told } : told;
  // null, because a rule is not asked about a member that is absent
  const checked = { ...options, path: (options as ToldRouteOptions | null)?.path ?? null };
  checkOptions(checked as ToldRouteOptions, TOLD_ROUTE_RULES, `links.routes.${name}`);
  const { path, method = 'GET' } = options;
  const adapters = options.adapter ? [options.adapter] : adaptersOf(path);
  try {
    const readers = adapters.map((adapter) => standIn(adapter, method, path));
    return { route: { id: name, method, label: name }, pattern: path, readers };
  } catch (error) {
    throw new DownloadAuthConfigurationError(
      `links.routes.${name}.path: the router of ${adapters.join(' or ')} cannot read ${path}: ${(error as Error).message}.`,
    );
  }
}

/** The adapters whose syntax a path can be. */
function adaptersOf(path: string): ('express' | 'fastify')[] {
  if (/\*\w|[{}]/.test(path)) {
    return ['express'];
  }
  return /\*|[()?]/.test(path) ? ['fastify'] : ['express', 'fastify'];
}

function isPublicUrl(value: unknown): boolean {
  if (value === '') {
    return true;
  }
  if (typeof value !== 'string' || /[?#]/.test(value)) {
    return false;
  }
  if (value.startsWith('/')) {
    // Browsers take `//host` and `/\host` for another host
    const origin = 'http://localhost';
    return URL.canParse(value, origin) && new URL(value, origin).href === origin + value;
  }
  if (!URL.canParse(value)) {
    return false;
  }
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}
