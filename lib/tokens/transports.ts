import { parse } from 'cookie';
import { formFields, isRetrieval, parsedCookie } from '../http/http-exchange.js';
import type { HttpExchange, Transport } from '../http/http-exchange.js';
import { DEFAULT_TOKEN_NAME, isTokenName } from '../http/redact-url.js';
import { dropFields, scrubUrls } from '../http/scrub-urls.js';
import { boolean, checkOptions, oneOf } from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/** Where a token is read from (RFC 6750 §2), in order of precedence; the first that holds one decides. */
export interface TransportOptions {
  /** `Authorization: Bearer …`. Default `true`. */
  header?: boolean;
  /** The query parameter of GET and HEAD requests; `'links'` accepts only link tokens. Default `true`. */
  query?: boolean | 'links';
  /** The field of a urlencoded POST body. Default `false`. */
  form?: boolean;
  /**
   * The cookie of GET and HEAD requests. `'same-site'` ignores it for requests that the browser marks as
   * coming from another site (`Sec-Fetch-Site: cross-site`), so that a foreign page cannot find out what its
   * visitor may download; links to downloads in web mail and on other sites then do not work by cookie.
   * Default `true`.
   */
  cookie?: boolean | 'same-site';
  /**
   * The companion cookies into which links to collections are exchanged, for GET and HEAD requests;
   * `'same-site'` as with `cookie`. With `false` none are set either. Default `true`.
   */
  companion?: boolean | 'same-site';
}

/** What the token is called in each transport. Default: `'ss-tok'` in all of them. */
export interface TokenNameOptions {
  query?: string;
  form?: string;
  /**
   * Browsers enforce what the prefixes `__Host-` and `__Secure-` promise (RFC 6265bis §4.1.3): the cookie is
   * then always secure, and with `__Host-` it has no domain and the path `/`.
   */
  cookie?: string;
}

export type TokenNames = Readonly<Required<TokenNameOptions>>;
export type Transports = Readonly<Required<TransportOptions>>;

/** What one transport of a request holds: a token, or more than one where only one is allowed. */
export type Finding = { readonly token: string; readonly others?: readonly string[] } | 'several';

interface TransportRow {
  /** Whether it is on by default. */
  readonly isOn: boolean;
  /** What the option of its name may be. */
  readonly setting: OptionRule;
  /** The default name of the token; a transport without one has a fixed name. */
  readonly tokenName?: string;
  /** Whether a client sets it for this one request; a cookie goes with every request. */
  readonly isExplicit: boolean;
  /** Which requests it is read from. Default: all. */
  readonly counts?: (exchange: HttpExchange, setting: unknown) => boolean;
  /** An empty value does not count. */
  readonly read: (exchange: HttpExchange, names: TokenNames) => Finding | undefined;
  /** Hides the token from loggers that run at the end of the response, whether it was read or not. */
  readonly scrub?: (exchange: HttpExchange, names: TokenNames, finding: Finding | undefined) => void;
  /** The message for a request with several tokens in this transport; absent where there may be several. */
  readonly ambiguous?: string;
}

/**
 * The transports in order of precedence: one row is all there is to a transport. Header and cookie are not
 * scrubbed: the application may need them later, and loggers know that they are secret.
 */
export const TRANSPORTS: Readonly<Record<Transport, TransportRow>> = {
  header: {
    isOn: true,
    setting: boolean,
    isExplicit: true,
    read: fromHeader,
    ambiguous: 'The request carries more than one Authorization header.',
  },
  query: {
    isOn: true,
    setting: oneOf('links', true, false),
    tokenName: DEFAULT_TOKEN_NAME,
    isExplicit: true,
    counts: ({ request }) => isRetrieval(request.method),
    read: fromQuery,
    scrub: (exchange, { query }, finding) =>
      scrubUrls(exchange, query, typeof finding === 'object' ? finding.token : undefined),
    ambiguous: 'The URL carries more than one token.',
  },
  form: {
    isOn: false,
    setting: boolean,
    tokenName: DEFAULT_TOKEN_NAME,
    isExplicit: true,
    read: fromForm,
    scrub: ({ request }, { form }) => dropFields(formFields(request), form),
    ambiguous: 'The form carries more than one token.',
  },
  companion: {
    isOn: true,
    setting: oneOf('same-site', true, false),
    isExplicit: false,
    counts: mayHaveCookies,
    read: fromCompanions,
  },
  cookie: {
    isOn: true,
    setting: oneOf('same-site', true, false),
    tokenName: DEFAULT_TOKEN_NAME,
    isExplicit: false,
    counts: mayHaveCookies,
    read: fromCookie,
    ambiguous:
      'The browser sent several cookies of the same name. Delete the cookies of this site, and sign in again.',
  },
};

export const TRANSPORT_NAMES = Object.keys(TRANSPORTS) as Transport[];

const SETTINGS = ofEach(TRANSPORT_NAMES, (name) => TRANSPORTS[name].setting) as OptionRules<TransportOptions>;
export const ALL_TRANSPORTS = ofEach(TRANSPORT_NAMES, () => true) as Transports;
const DEFAULTS = ofEach(TRANSPORT_NAMES, (name) => TRANSPORTS[name].isOn) as Transports;
const NAMED = TRANSPORT_NAMES.filter((name) => TRANSPORTS[name].tokenName) as (keyof TokenNames)[];

/** RFC 6265 §4.1.1 cookie names (RFC 9110 tokens), less what needs encoding in a query string. */
const TOKEN_NAME: OptionRule = (name) =>
  typeof name === 'string' && /^[A-Za-z0-9_.~-]+$/.test(name)
    ? undefined
    : `${JSON.stringify(name)} cannot name a cookie or a parameter. Use letters, digits, '-', '_', '.'.`;

/** @throws DownloadAuthConfigurationError for a name that no cookie or parameter can have */
export function resolveTokenNames(tokenName: string | TokenNameOptions = {}): TokenNames {
  if (typeof tokenName !== 'object') {
    checkOptions({ tokenName }, { tokenName: TOKEN_NAME }, 'forRoot', '');
    return ofEach(NAMED, () => tokenName);
  }
  checkOptions(
    tokenName,
    ofEach(NAMED, () => TOKEN_NAME),
    'tokenName',
  );
  return ofEach(NAMED, (name) => tokenName[name] ?? (TRANSPORTS[name].tokenName as string));
}

/**
 * The transports of a route: its own choice where it made one, the module's otherwise.
 * @throws DownloadAuthConfigurationError for an unknown transport or setting, or where none is on
 */
export function resolveTransports(transports: TransportOptions = {}, defaults = DEFAULTS): Transports {
  checkOptions(transports, SETTINGS, 'transports');
  const resolved = ofEach(TRANSPORT_NAMES, (name) => transports[name] ?? defaults[name]) as Transports;
  // A companion cookie only follows a link that came another way
  if (!Object.values({ ...resolved, companion: false }).some(Boolean)) {
    throw new DownloadAuthConfigurationError(
      'transports: all are switched off, so no request could ever carry a token. Leave one on.',
    );
  }
  return resolved;
}

function ofEach<Name extends string, Value>(
  names: readonly Name[],
  value: (name: Name) => Value,
): Record<Name, Value> {
  return Object.fromEntries(names.map((name) => [name, value(name)])) as Record<Name, Value>;
}

/** A client that sends no Sec-Fetch-Site is not a browser, or an old one. */
function mayHaveCookies({ request }: HttpExchange, setting: unknown): boolean {
  const isForeign = setting === 'same-site' && request.headers['sec-fetch-site'] === 'cross-site';
  return isRetrieval(request.method) && !isForeign;
}

/** What follows `Bearer` when a script had no token, or a template was not filled in. */
const NO_TOKEN =
  /^(?:null|undefined|nan|none|nil|true|false|\[object [a-z]+\]|\{\{[^{}]*\}\}|\$\{[^{}]*\}|<[\w -]*>)$/i;

/** RFC 9110 §11.4, RFC 6750 §2.1. Other schemes do not count. */
function fromHeader({ rawRequest: { headers, rawHeaders } }: HttpExchange): Finding | undefined {
  if (headers.authorization === undefined) {
    return undefined;
  }
  const lines: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === 'authorization') {
      lines.push(rawHeaders[i + 1] as string);
    }
  }
  if (lines.length > 1) {
    return lines.some(bearerToken) ? 'several' : undefined;
  }
  const token = bearerToken(headers.authorization);
  return token && !NO_TOKEN.test(token) ? { token } : undefined;
}

function bearerToken(field: string): string | undefined {
  return /^bearer[ \t]/i.test(field) ? field.slice(7).trim() : undefined;
}

function fromQuery({ rawRequest: { url = '' } }: HttpExchange, { query }: TokenNames): Finding | undefined {
  const start = url.indexOf('?');
  if (start === -1) {
    return undefined;
  }
  const values: string[] = [];
  for (const [name, value] of new URLSearchParams(url.slice(start))) {
    if (name === query) {
      values.push(value);
    } else if (isMember(name, query)) {
      return 'several';
    }
  }
  return values.length > 1 ? 'several' : findingOf(values[0]);
}

function fromForm({ request }: HttpExchange, { form }: TokenNames): Finding | undefined {
  const fields = formFields(request);
  const value = Object.hasOwn(fields, form) ? fields[form] : '';
  const isOne = typeof value === 'string' && !Object.keys(fields).some((name) => isMember(name, form));
  return isOne ? findingOf(value) : 'several';
}

/**
 * Several values under one name come from other paths, or were planted by a neighbouring host (RFC 6265
 * §8.6). A host that parsed the cookies with its own decoder is respected.
 */
function fromCookie(exchange: HttpExchange, { cookie: name }: TokenNames): Finding | undefined {
  const values = cookieValues(exchange, name);
  const [value] = values;
  if (value === undefined) {
    return undefined;
  }
  // parsers take the first cookie of a name, even an empty one
  const parsed = parsedCookie(exchange, name) || parse(`${name}=${value}`)[name];
  return values.size > 1 || typeof parsed !== 'string' ? 'several' : findingOf(parsed);
}

/** What the names of companion cookies begin with. */
export const COMPANION_PREFIX = 'ss-open-';

/** Links to this path, or to what contains it: which of them opens it is tried out. */
function fromCompanions(exchange: HttpExchange): Finding | undefined {
  const [token, ...others] = cookieValues(exchange, COMPANION_PREFIX, true);
  return token === undefined ? undefined : { token, others };
}

/** The values of the cookies that have a name, or one that begins with it: each once, but for empty ones. */
function cookieValues({ rawRequest }: HttpExchange, wanted: string, isPrefix = false): Set<string> {
  const values = new Set<string>();
  const { cookie } = rawRequest.headers;
  for (const pair of cookie?.includes(wanted) ? cookie.split(';') : []) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, equals)).trim();
    if (name === wanted || (isPrefix && name.startsWith(wanted))) {
      const value = pair.slice(equals + 1).trim();
      values.add(value.replace(/^"(.*)"$/, '$1'));
    }
  }
  values.delete('');
  return values;
}

/** `ss-tok[]` and `ss-tok[a]`: a list or an object to some parsers, a different name to others. */
function isMember(name: string, tokenName: string): boolean {
  return name.includes('[') && isTokenName(name, tokenName);
}

function findingOf(token: string | undefined): Finding | undefined {
  return token ? { token } : undefined;
}
