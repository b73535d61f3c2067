import { serialize } from 'cookie';
import type { AnyRequest } from '../http/http-exchange.js';
import { DEFAULT_TOKEN_NAME } from '../http/redact-url.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { type Duration, durationInSeconds } from '../shared/duration.js';
import { checkTypes } from '../shared/option-types.js';
import { refuseUnknown } from '../shared/unknown-option.js';
import { isValidDate } from '../shared/valid-date.js';
import { type AcceptOptions, type AccessPolicy, mediaType } from './access-tokens.js';
import type { TokenClaims } from './compact-jws.js';
import type { KeyOptions } from './keys.js';

/** The members of the module's options that say what an access token is. */
export interface AccessTokenOptions extends KeyOptions {
  /** The `iss` an access token must have; any of several. Default: not checked. */
  issuer?: string | readonly string[];
  /**
   * An `aud` an access token must have; any of several. Default: not checked, with a warning in the log where
   * a token has one (RFC 7519 §4.1.3).
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
   * Refuses access tokens whose `iat` is before this moment, missing, or in the future, after a leak or a
   * password change; a function decides for each token and may return nothing. Default: none.
   */
  notIssuedBefore?: Date | ((claims: TokenClaims) => Date | undefined | Promise<Date | undefined>);
  /**
   * Called with the claims of a genuine access token. What it returns (or resolves to) becomes
   * `request.user`; a falsy answer refuses with 403 `ACCESS_DENIED`, what it throws is the answer.
   * Default: the claims become `request.user`.
   */
  validate?: (claims: TokenClaims, request: AnyRequest) => unknown;
}

/** Which places a token is read from (RFC 6750 §2), in this order; the first that holds one decides. */
export interface TransportOptions {
  /** `Authorization: Bearer …`. Default `true`. */
  header?: boolean;
  /**
   * The query parameter of GET and HEAD requests; `'links'` accepts only link tokens there. Default `true`.
   */
  query?: boolean | 'links';
  /**
   * The cookie, for GET and HEAD requests; `'same-site'` ignores it where the browser says that a page of
   * another site asks (`Sec-Fetch-Site: cross-site`), so that such a page cannot find out what its visitor
   * may download. Links to downloads in web mail and on other sites then do not work by cookie. Default
   * `true`.
   */
  cookie?: boolean | 'same-site';
  /** The field of a urlencoded POST body. Default `false`. */
  form?: boolean;
}

/** The names by which each transport goes; those left out are `'ss-tok'`. */
export interface TokenNameOptions {
  query?: string;
  /**
   * A name that begins with `__Host-` or `__Secure-` binds browsers to what it says (RFC 6265bis §4.1.3): the
   * cookie is then always secure, and with `__Host-` has neither a domain nor another path than `/`.
   */
  cookie?: string;
  form?: string;
}

export type TokenNames = Readonly<Required<TokenNameOptions>>;

/** How {@link DownloadCookie} writes the cookie (RFC 6265bis §4.1.2). */
export interface CookieOptions {
  /** Default `'/'`. */
  path?: string;
  /** Default: none, which confines the cookie to the host that set it. */
  domain?: string;
  /**
   * Default `'lax'`: sent when a person follows a link to the download, not with cross-site subrequests. With
   * `partitioned` it is `'none'`.
   */
  sameSite?: 'lax' | 'strict' | 'none';
  /**
   * Default: whether the request that sets the cookie was secure; `true` with `sameSite: 'none'`,
   * `partitioned` and names that demand it.
   */
  secure?: boolean;
  /**
   * Keeps one cookie for each site in whose pages the application is a frame (CHIPS), where browsers block
   * third-party cookies. Default `false`.
   */
  partitioned?: boolean;
}

/** RFC 6265 §4.1.1 cookie names (RFC 9110 tokens), less what needs encoding in a query string. */
const TOKEN_NAME = /^[A-Za-z0-9_.~-]+$/;

const COOKIE_ATTRIBUTES = {
  path: "a path such as '/files'",
  domain: "a host name such as 'example.com'",
  sameSite: "'lax', 'strict' or 'none'",
} as const;

const MAX_CLOCK_TOLERANCE = 10 * 60;

/** RFC 9068 §2.1 has `at+jwt`, most issuers write `JWT` or nothing. */
const ACCESS_TYPES = ['JWT', 'at+jwt'];

/** @throws DownloadAuthConfigurationError for what cannot be such a name */
export function resolveTokenNames(tokenName: string | TokenNameOptions = DEFAULT_TOKEN_NAME): TokenNames {
  if (typeof tokenName !== 'object') {
    const name = checkedName(tokenName, 'tokenName');
    return { query: name, cookie: name, form: name };
  }
  refuseUnknown(tokenName, ['query', 'cookie', 'form'], 'tokenName');
  const { query, cookie, form } = tokenName;
  return {
    query: checkedName(query ?? DEFAULT_TOKEN_NAME, 'tokenName.query'),
    cookie: checkedName(cookie ?? DEFAULT_TOKEN_NAME, 'tokenName.cookie'),
    form: checkedName(form ?? DEFAULT_TOKEN_NAME, 'tokenName.form'),
  };
}

function checkedName(name: unknown, option: string): string {
  if (typeof name === 'string' && TOKEN_NAME.test(name)) {
    return name;
  }
  throw new DownloadAuthConfigurationError(
    `${option}: ${JSON.stringify(name)} cannot name a cookie or a parameter. Use letters, digits, '-', '_', '.'.`,
  );
}

/** The transports of a route: its own choice where it made one, the module's otherwise. */
export function resolveTransports(
  transports: TransportOptions | undefined,
  defaults: Required<TransportOptions>,
): Required<TransportOptions> {
  refuseUnknown(transports, ['header', 'query', 'cookie', 'form'], 'transports');
  checkTypes(transports, { header: 'boolean', form: 'boolean' }, 'transports.');
  const resolved = {
    header: transports?.header ?? defaults.header,
    query: transports?.query ?? defaults.query,
    cookie: transports?.cookie ?? defaults.cookie,
    form: transports?.form ?? defaults.form,
  };
  if (!Object.values(resolved).some(Boolean)) {
    throw new DownloadAuthConfigurationError(
      'transports: all are switched off, so no request could ever carry a token. Leave one on.',
    );
  }
  const words = { query: 'links', cookie: 'same-site' } as const;
  for (const name of ['query', 'cookie'] as const) {
    const word = words[name];
    const setting: unknown = resolved[name];
    if (typeof setting !== 'boolean' && setting !== word) {
      throw new DownloadAuthConfigurationError(`transports.${name}: write true or false, or '${word}'.`);
    }
  }
  return resolved;
}

/** @throws DownloadAuthConfigurationError for attributes that no cookie can have, or none of this name */
export function resolveCookie(options: CookieOptions | undefined = {}, name: string): CookieOptions {
  refuseUnknown(options, [...Object.keys(COOKIE_ATTRIBUTES), 'secure', 'partitioned'], 'cookie');
  checkTypes(options, { secure: 'boolean', partitioned: 'boolean' }, 'cookie.');
  for (const [attribute, expected] of Object.entries(COOKIE_ATTRIBUTES)) {
    if (!isSerializable(attribute, options[attribute as keyof CookieOptions])) {
      throw new DownloadAuthConfigurationError(`cookie.${attribute}: write ${expected}.`);
    }
  }
  const { partitioned, sameSite = partitioned ? 'none' : 'lax' } = options;
  if (partitioned && sameSite !== 'none') {
    throw new DownloadAuthConfigurationError(
      "cookie.sameSite: a partitioned cookie is for frames of other sites. Leave sameSite out, or write 'none'.",
    );
  }
  // browsers match the prefixes in any case
  const prefix = /^__(?:Host|Secure|Http|Host-Http)-/i.exec(name)?.[0];
  const needing = prefix ?? (partitioned ? 'partitioned' : sameSite === 'none' && "sameSite 'none'");
  if (needing && options.secure === false) {
    throw new DownloadAuthConfigurationError(
      `cookie.secure: browsers keep a cookie with ${needing} only if it is secure. Leave secure out, or write true.`,
    );
  }
  if (prefix?.toLowerCase().startsWith('__host-') && (options.domain ?? options.path ?? '/') !== '/') {
    throw new DownloadAuthConfigurationError(
      `tokenName.cookie: browsers keep a cookie named ${prefix}… only without a domain and with the path '/'. ` +
        'Leave cookie.domain and cookie.path out, or name it otherwise.',
    );
  }
  return { ...options, sameSite, ...(needing && { secure: true }) };
}

function isSerializable(name: string, value: unknown): boolean {
  try {
    return (
      value === undefined || (typeof value === 'string' && serialize('name', '', { [name]: value }) !== '')
    );
  } catch {
    return false;
  }
}

type PolicyOptions = Pick<
  AccessTokenOptions,
  | 'issuer'
  | 'audience'
  | 'accept'
  | 'requireExpiration'
  | 'clockTolerance'
  | 'maxTokenAge'
  | 'notIssuedBefore'
>;

/** @throws DownloadAuthConfigurationError that says what to write instead */
export function resolveAccessPolicy(options: PolicyOptions): AccessPolicy {
  const { accept = {} } = options;
  refuseUnknown(accept, ['typ', 'claims'], 'accept');
  return {
    issuers: listOf(options.issuer, 'issuer'),
    audiences: listOf(options.audience, 'audience'),
    types: listOf(accept.typ ?? ACCESS_TYPES, 'accept.typ').map(mediaType),
    claims: acceptedClaims(accept.claims),
    requireExpiration: options.requireExpiration ?? true,
    clockTolerance: clockTolerance(options.clockTolerance),
    maxTokenAge: maxTokenAge(options.maxTokenAge),
    notIssuedBefore: checkedMoment(options.notIssuedBefore),
  };
}

function listOf(value: string | readonly string[] | undefined, option: string): readonly string[] {
  if (value === undefined) {
    return [];
  }
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.some((one) => typeof one !== 'string' || one === '')) {
    throw new DownloadAuthConfigurationError(
      `${option}: give a string or a list of strings, or leave it out to not check it.`,
    );
  }
  return list as readonly string[];
}

function acceptedClaims(claims: AcceptOptions['claims'] = {}): AccessPolicy['claims'] {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new DownloadAuthConfigurationError(
      "accept.claims: give an object of claims, such as { token_use: 'access' }.",
    );
  }
  return new Map(
    Object.entries(claims).map(([name, value]) => {
      const values = [value].flat();
      const areScalars = values.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
      if (values.length === 0 || !areScalars) {
        throw new DownloadAuthConfigurationError(
          `accept.claims.${name}: give a string, a number, a boolean or a list of them.`,
        );
      }
      return [name, values];
    }),
  );
}

function clockTolerance(value: AccessTokenOptions['clockTolerance']): number {
  const seconds = durationInSeconds(value ?? 0, 'clockTolerance');
  if (seconds > MAX_CLOCK_TOLERANCE) {
    throw new DownloadAuthConfigurationError(
      "clockTolerance: more than 10 minutes is no tolerance. It is seconds, or '30s'.",
    );
  }
  return seconds;
}

function maxTokenAge(value: AccessTokenOptions['maxTokenAge']): number | undefined {
  const seconds = value === undefined ? undefined : durationInSeconds(value, 'maxTokenAge');
  if (seconds === 0) {
    throw new DownloadAuthConfigurationError(
      "maxTokenAge: 0 would refuse every token. Write a duration such as '12h'.",
    );
  }
  return seconds;
}

function checkedMoment(value: AccessTokenOptions['notIssuedBefore']): AccessTokenOptions['notIssuedBefore'] {
  if (value === undefined || typeof value === 'function' || isValidDate(value)) {
    return value;
  }
  throw new DownloadAuthConfigurationError(
    "notIssuedBefore: give a valid Date, such as new Date('2026-01-31T00:00:00Z').",
  );
}
