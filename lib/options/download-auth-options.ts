import type { DeliveryOptions } from '../delivery/delivery-options.js';
import type { LeaseOptions } from '../leases/lease-options.js';
import type { AnyRequest } from '../http/http-exchange.js';
import type { ToldRouteOptions } from '../links/told-route.js';
import type { DownloadRefusal } from '../refusals/download-refusal.js';
import type { AcceptOptions } from '../tokens/access-tokens.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import type { KeyMaterial, SignatureAlgorithm } from '../tokens/key-material.js';
import type { KeyRingEntry, SecretOrKeyProvider } from '../tokens/keys.js';
import type { CookieOptions, TokenNameOptions, TransportOptions } from '../tokens/token-options.js';
import type { Duration } from './duration.js';

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
   * Where named routes (`@StreamDownload({ name })`) are served, for a process that makes links and does not serve them
   * itself, such as a queue worker: `{ file: '/api/files/:id' }`. Default: none.
   */
  routes?: Readonly<Record<string, string | ToldRouteOptions>>;
  /**
   * Called with the claims of every link that is opened; its answer becomes `request.user`, and a falsy
   * one refuses with 403 `ACCESS_DENIED`. Default: the claims themselves become `request.user`.
   */
  validate?: (claims: TokenClaims, request: AnyRequest) => unknown;
}

/**
 * Turns a refusal into the page a person sees who opened a link in a browser.
 * @returns HTML, or `undefined` for the JSON body
 */
export type RefusalPage = (refusal: DownloadRefusal) => string | undefined;

/**
 * The options of `DownloadAuthModule.forRoot()`. Give one source of keys: `secret`, `publicKey`/`privateKey`, `keys` or `secretOrKeyProvider`.
 * What cannot work, an unknown member among it, keeps the application from starting.
 */
export interface DownloadAuthOptions {
  /** Secret of the access tokens (HS256 unless `algorithms` says otherwise), at least 32 bytes. */
  secret?: KeyMaterial;
  /** Public key of the access tokens: RSA, RSA-PSS or EC, as PEM or `KeyObject`. */
  publicKey?: KeyMaterial;
  /** Private key of the access tokens; the public key is derived from it, and so is the key of links. */
  privateKey?: KeyMaterial;
  /** Several keys by `kid`, the newest first. */
  keys?: readonly KeyRingEntry[];
  /** Looks the key up for each request. Needs `algorithms`. */
  secretOrKeyProvider?: SecretOrKeyProvider;
  /** What the key may be used with; never read from a token (RFC 8725 §3.1). Default: what the key's type implies. */
  algorithms?: readonly SignatureAlgorithm[];

  /** The `iss` an access token must have; any of several. Default: not checked. */
  issuer?: string | readonly string[];
  /**
   * An `aud` an access token must have; any of several. Default: not checked, with a warning in the log where a
   * token has one (RFC 7519 §4.1.3).
   */
  audience?: string | readonly string[];
  /** Which tokens of the key are access tokens, where the application issues others with it. */
  accept?: AcceptOptions;
  /** Whether an access token must have an `exp`. Default `true`. */
  requireExpiration?: boolean;
  /** How far clocks may differ, for `exp`, `nbf` and `iat`. Default 0 seconds, at most 10 minutes. */
  clockTolerance?: Duration;
  /** Refuses access tokens whose `iat` is longer ago than this, in the future, or missing. Default: none. */
  maxTokenAge?: Duration;
  /**
   * Refuses access tokens whose `iat` is before this moment, missing, or in the future, after a leak or a password
   * change; a function decides for each token and may return nothing. Default: none.
   */
  notIssuedBefore?: Date | ((claims: TokenClaims) => Date | undefined | Promise<Date | undefined>);
  /**
   * Called with the claims of a genuine access token. What it returns (or resolves to) becomes
   * `request.user`; a falsy answer refuses with 403 `ACCESS_DENIED`, what it throws is the answer.
   * Default: the claims become `request.user`.
   */
  validate?: (claims: TokenClaims, request: AnyRequest) => unknown;

  /** Name of the query parameter, the cookie and the form field alike, or one for each. Default `'ss-tok'`. */
  tokenName?: string | TokenNameOptions;
  transports?: TransportOptions;
  cookie?: CookieOptions;
  links?: LinkOptions;
  /** How files are delivered: headers, ranges, offload. */
  delivery?: DeliveryOptions;
  /** How the downloads of limited links are counted, and where. */
  leases?: LeaseOptions;

  /**
   * Refuses requests that did not come over TLS, as the framework sees it behind its trusted proxies.
   * Default: `true` when NODE_ENV is `production`.
   */
  requireSecureConnection?: boolean;
  /** How many verified tokens are remembered, so that their signature is checked once. 0 turns it off. Default 1000. */
  verifiedTokenCacheSize?: number;
  /**
   * How long downloads may go on after the application was told to end (`app.close()`, SIGTERM with shutdown hooks);
   * then they are broken off, and clients resume them elsewhere. Default 10 seconds.
   */
  shutdownTimeout?: Duration;
  /** Replaces the page a person sees; `false` always answers JSON. */
  refusalPage?: RefusalPage | false;
  /** Milliseconds since 1970, as `Date.now`, which is the default. */
  clock?: () => number;
}

/** What one route may decide for itself; unset members keep the module's choice. */
export interface StreamDownloadOptions {
  /**
   * The name of the route in `links.create('name', …)`; of a handler only, unique in the application. It stands for
   * class and method in the links, which then survive renaming and minifying.
   */
  name?: string;
  transports?: TransportOptions;
  requireSecureConnection?: boolean;
  delivery?: DeliveryOptions;
}
