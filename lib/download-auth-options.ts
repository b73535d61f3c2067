import type { DownloadAuth } from './application-guard.js';
import type { DeliveryOptions } from './delivery/options.js';
import type { LeaseOptions } from './leases/options.js';
import type { AnyRequest } from './http/http-exchange.js';
import type { LinkOptions } from './links/options.js';
import type { Challenge, PromptOptions } from './prompts/options.js';
import type { DownloadRefusal } from './refusals/download-refusal.js';
import type { Duration } from './shared/duration.js';
import type { CookieOptions } from './tokens/download-cookie.js';
import type { AccessTokenOptions } from './tokens/token-options.js';
import type { TokenNameOptions, TransportOptions } from './tokens/transports.js';

/**
 * Turns a refusal into the page a person sees who opened a link in a browser.
 * @returns HTML, or `undefined` for the JSON body
 */
export type RefusalPage = (refusal: DownloadRefusal) => string | undefined;

/** What the module and each route may say of who may download. */
interface SignInOptions {
  /** Who may download besides those who have a link. Default `'token'`: whoever has an access token. */
  auth?: DownloadAuth;
  /**
   * Who asks, where a guard of the application, `'public'` or `false` let the request in: the subject of
   * the grant, of events and of `links.revoke({ subject })`. For links with `bindTo.signedIn` it says who is
   * signed in. Default: not known.
   */
  subject?: (request: AnyRequest) => string | undefined | Promise<string | undefined>;
  /** Whether an answer is right, for links made with `challenge: true`; none can be made without it. */
  challenge?: Challenge;
}

/**
 * The options of `DownloadAuthModule.forRoot()`. For access tokens give one source of keys: `secret`,
 * `publicKey`/`privateKey`, `keys` or `secretOrKeyProvider`. Options that cannot work, unknown ones included,
 * keep the application from starting.
 */
export interface DownloadAuthOptions extends AccessTokenOptions, SignInOptions {
  /**
   * Name of the query parameter, the cookie and the form field alike, or one for each. Default `'ss-tok'`.
   */
  tokenName?: string | TokenNameOptions;
  transports?: TransportOptions;
  cookie?: CookieOptions;
  links?: LinkOptions;
  /** How files are delivered: headers, ranges, offload. */
  delivery?: DeliveryOptions;
  /** What links that ask for a confirmation or an answer show, and how many wrong answers they take. */
  prompts?: PromptOptions;
  /** How the downloads of limited links are counted, and where. */
  leases?: LeaseOptions;

  /**
   * Refuses requests that did not come over TLS, as the framework sees it behind its trusted proxies.
   * Default: `true` when NODE_ENV is `production`, except for routes whose `auth` is `false`.
   */
  requireSecureConnection?: boolean;
  /**
   * Bytes for remembering verified tokens, so that their signature is checked once; 0 remembers
   * none. Default 32 MiB, enough for 5,000 people with tokens of 2 KiB.
   */
  verifiedTokenCacheBytes?: number;
  /**
   * How long downloads may go on after the application was told to end (`app.close()`, SIGTERM with shutdown
   * hooks); then they are broken off, and clients resume them elsewhere. Default 10 seconds.
   */
  shutdownTimeout?: Duration;
  /**
   * Who answers a refusal: this package, or (`'throw'`) the exception filters of the application, which then
   * see a {@link DownloadRefusal}. Its header fields are set in either case. Default `'answer'`.
   */
  refusals?: 'answer' | 'throw';
  /** Replaces the page a person sees; `false` always answers JSON. */
  refusalPage?: RefusalPage | false;
  /** Milliseconds since 1970, as `Date.now`, which is the default. */
  clock?: () => number;
}

/** What one route may decide for itself; unset members keep the module's choice. */
export interface StreamDownloadOptions extends SignInOptions {
  /**
   * The name of the route in `links.create('name', …)`; of a handler only, unique in the application. It
   * stands for class and method in the links, which then survive renaming and minifying.
   */
  name?: string;
  transports?: TransportOptions;
  requireSecureConnection?: boolean;
  delivery?: DeliveryOptions;
}
