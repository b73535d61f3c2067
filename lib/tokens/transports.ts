import { parse } from 'cookie';
import { rawCookieOf } from '../http/cookies.js';
import { type HttpExchange, isRetrieval, type Transport, urlencodedForm } from '../http/http-exchange.js';
import { isTokenName } from '../http/redact-url.js';
import { dropFields, scrubUrls } from '../http/scrub-urls.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { isCompact } from './compact-jws.js';
import type { TokenNames, TransportOptions } from './token-options.js';

/** What one transport of a request holds: a token, or more than one where there may be one. */
export type Finding = { readonly token: string } | 'several';

/** What each transport of a request holds; those without a token are left out. */
export type FoundTokens = Partial<Record<Transport, Finding>>;

/** A token as a request presents it, unverified. */
export interface PresentedToken {
  readonly token: string;
  readonly transport: Transport;
}

/** One place where a request may carry a token. */
interface TransportRow {
  /** Which requests it is read from. */
  readonly counts?: (exchange: HttpExchange, setting: boolean | string) => boolean;
  /** An empty value is no token. */
  readonly read: (exchange: HttpExchange, names: TokenNames) => Finding | undefined;
  /** Takes the token out of what loggers read at the end of a response, whether it was read or not. */
  readonly scrub?: (exchange: HttpExchange, names: TokenNames, finding: Finding | undefined) => void;
  /** What a person or a programmer reads who sent several tokens this way. */
  readonly ambiguous: string;
}

/**
 * The transports, in the order of precedence (RFC 6750 §2). The Authorization header and the cookie are not
 * scrubbed: an application may need them further on, and loggers know them for what they are.
 */
const TRANSPORTS: Readonly<Record<Transport, TransportRow>> = {
  header: {
    read: fromHeader,
    ambiguous: 'The request carries more than one Authorization header.',
  },
  query: {
    counts: ({ request }) => isRetrieval(request.method),
    read: fromQuery,
    scrub: (exchange, { query }, finding) =>
      scrubUrls(exchange, query, typeof finding === 'object' ? finding.token : undefined),
    ambiguous: 'The URL carries more than one token.',
  },
  cookie: {
    // browsers say where a request comes from (Fetch Metadata); what says nothing is no browser, or an old
    // one
    counts: ({ request }, setting) =>
      isRetrieval(request.method) &&
      !(setting === 'same-site' && request.headers['sec-fetch-site'] === 'cross-site'),
    read: fromCookie,
    ambiguous:
      'The browser sent several cookies of the same name. Delete the cookies of this site, and sign in again.',
  },
  form: {
    counts: ({ request }) => !isRetrieval(request.method),
    read: fromForm,
    scrub: ({ request }, { form }) => dropFields(urlencodedForm(request), form),
    ambiguous: 'The form carries more than one token.',
  },
};

const ROWS = Object.entries(TRANSPORTS) as (readonly [Transport, TransportRow])[];

/** Reads the tokens of a request, and takes them out of it. Nothing is judged yet. */
export function takeTokens(
  exchange: HttpExchange,
  names: TokenNames,
  settings: Required<TransportOptions>,
): FoundTokens {
  const found: FoundTokens = {};
  for (const [transport, { counts, read, scrub }] of ROWS) {
    const setting = settings[transport];
    if (setting && (!counts || counts(exchange, setting))) {
      found[transport] = read(exchange, names);
    }
    scrub?.(exchange, names, found[transport]);
  }
  return found;
}

/**
 * The token that decides over a request: that of the first transport that holds one. Only this one is judged;
 * if it is bad, no other place rescues the request, and what is wrong with the others does not matter. A
 * header and a query (or form) that differ are refused, unless the latter holds a genuine link, which needs
 * no header.
 *
 * What cannot be a JWT decides only where there is nothing else: scripts send `Bearer` and whatever they
 * have.
 *
 * @throws DownloadRefusal `TOKEN_MISSING`; `TOKEN_AMBIGUOUS`
 */
export async function decidingToken(
  found: FoundTokens,
  isGenuineLink: (token: string) => Promise<boolean>,
): Promise<PresentedToken> {
  const header = credibleHeader(found);
  const beside = first(found, ['query', 'form']);
  if (header && beside && !areOne(header, beside[1])) {
    const [transport, finding] = beside;
    if (finding !== 'several' && (await isGenuineLink(finding.token))) {
      return { transport, token: finding.token };
    }
    throw new DownloadRefusal('TOKEN_AMBIGUOUS', {
      message: 'The Authorization header and the URL or form of the request carry different tokens.',
    });
  }
  const deciding = header ? (['header', header] as const) : (beside ?? first(found, ['cookie', 'header']));
  if (!deciding) {
    throw new DownloadRefusal('TOKEN_MISSING');
  }
  return presented(...deciding);
}

/**
 * The token of the person who opens a link, beside it in header or cookie.
 * @throws DownloadRefusal `TOKEN_AMBIGUOUS` for several cookies
 */
export function companionToken(found: FoundTokens, link: PresentedToken): string | undefined {
  const places = { header: credibleHeader(found), cookie: found.cookie, [link.transport]: undefined };
  const companion = first(places, ['header', 'cookie']);
  return companion && presented(...companion).token;
}

function presented(transport: Transport, finding: Finding): PresentedToken {
  if (finding === 'several') {
    throw new DownloadRefusal('TOKEN_AMBIGUOUS', { message: TRANSPORTS[transport].ambiguous });
  }
  return { transport, token: finding.token };
}

function first(found: FoundTokens, order: readonly Transport[]): readonly [Transport, Finding] | undefined {
  const transport = order.find((name) => found[name] !== undefined);
  return transport && [transport, found[transport] as Finding];
}

function credibleHeader({ header }: FoundTokens): Finding | undefined {
  return typeof header === 'object' && !isCompact(header.token) ? undefined : header;
}

function areOne(one: Finding, other: Finding): boolean {
  return typeof one === 'object' && typeof other === 'object' && one.token === other.token;
}

/** What stands behind `Bearer` where a script had no token, or a template was not filled in. */
const NO_TOKEN =
  /^(?:null|undefined|nan|none|nil|true|false|\[object [a-z]+\]|\{\{[^{}]*\}\}|\$\{[^{}]*\}|<[\w -]*>)$/i;

/** RFC 9110 §11.4, RFC 6750 §2.1. Another scheme is no token. */
function fromHeader({ rawRequest: { headers, rawHeaders } }: HttpExchange): Finding | undefined {
  if (headers.authorization === undefined) {
    return undefined;
  }
  const lines: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 13 && name.toLowerCase() === 'authorization') {
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
  const scheme = field.slice(0, 7).toLowerCase();
  return scheme === 'bearer ' || scheme === 'bearer\t' ? field.slice(7).trim() : undefined;
}

function fromQuery({ rawRequest }: HttpExchange, { query }: TokenNames): Finding | undefined {
  const { url = '' } = rawRequest;
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

/**
 * Cookies of one name and several values are of other paths, or planted by a neighbouring host (RFC 6265
 * §8.6). The host may have parsed the cookies with a decoder of its own, which is respected.
 */
function fromCookie(exchange: HttpExchange, { cookie: name }: TokenNames): Finding | undefined {
  const values = new Set<string>();
  for (const pair of (exchange.rawRequest.headers.cookie ?? '').split(';')) {
    const equals = pair.indexOf('=');
    if (equals !== -1 && pair.slice(0, equals).trim() === name) {
      values.add(unquoted(pair.slice(equals + 1).trim()));
    }
  }
  values.delete('');
  const [value] = values;
  if (value === undefined) {
    return undefined;
  }
  // parsers take the first cookie of a name, even an empty one
  const parsed = rawCookieOf(exchange, name) || parse(`${name}=${value}`)[name];
  return values.size > 1 || typeof parsed !== 'string' ? 'several' : findingOf(parsed);
}

function unquoted(value: string): string {
  return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function fromForm({ request }: HttpExchange, { form }: TokenNames): Finding | undefined {
  const fields = urlencodedForm(request) ?? {};
  if (Object.keys(fields).some((name) => isMember(name, form))) {
    return 'several';
  }
  const value = Object.hasOwn(fields, form) ? fields[form] : undefined;
  return value === undefined || typeof value === 'string' ? findingOf(value) : 'several';
}

/** `ss-tok[]` and `ss-tok[a]` are a list or an object to some parsers, and a name of its own to others. */
function isMember(name: string, tokenName: string): boolean {
  return name.includes('[') && isTokenName(name, tokenName);
}

function findingOf(token: string | undefined): Finding | undefined {
  return token ? { token } : undefined;
}
