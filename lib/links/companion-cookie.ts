import type { HttpExchange } from '../http/http-exchange.js';
import type { LinkCookie } from '../http/link-cookies.js';
import { isNavigation } from '../http/requester.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { MAX_COOKIE_BYTES } from '../tokens/download-cookie.js';
import { COMPANION_PREFIX } from '../tokens/transports.js';
import { endOf } from './link-claims.js';
import type { LinkClaims } from './link-claims.js';
import type { LinkSettings } from './options.js';

/** Browsers ignore a longer attribute (RFC 6265bis §5.6). */
const MAX_PATH_BYTES = 1024;

/** How many collections of one path a browser keeps open; all headers of a request share 16 KiB. */
const MAX_COMPANIONS = 8;

/** The URL of a request without its token, relative to it, where the link leads a person there. */
export function cleanUrl({ col }: LinkClaims, { request, rawRequest }: HttpExchange): string | undefined {
  if (!col?.leads || request.method !== 'GET' || !isNavigation(request.headers)) {
    return undefined;
  }
  const [, path = '', query = ''] = /^([^?#]*)([^#]*)/.exec(rawRequest.url ?? '') ?? [];
  return `./${path.slice(path.lastIndexOf('/') + 1)}${query}`;
}

/** @throws DownloadAuthConfigurationError for a link that no browser would keep as a cookie */
export function checkCompanion({ res, col }: LinkClaims, token: string): void {
  const bytes = companionName(res).length + 1 + token.length;
  if (col && (bytes > MAX_COOKIE_BYTES || col.path.length > MAX_PATH_BYTES)) {
    throw new DownloadAuthConfigurationError(
      `The collection's cookie would have ${bytes} bytes, and its path ${col.path.length}; browsers keep at most ` +
        `${MAX_COOKIE_BYTES} and ${MAX_PATH_BYTES}. Put less into claims, query and params.`,
    );
  }
}

/** The cookie for which a link to a collection is exchanged; `undefined` where the browser needs none. */
export function companionCookie(
  claims: LinkClaims,
  token: string,
  { rawRequest }: HttpExchange,
  { clock, links }: Pick<LinkSettings, 'clock' | 'links'>,
): LinkCookie | undefined {
  const { res, col } = claims;
  const name = companionName(res);
  const maxAge = Math.floor(endOf(claims, links.maxAge) - clock() / 1000);
  const isKept = rawRequest.headers.cookie?.includes(`${name}=${token}`);
  return !col || isKept || maxAge < 1
    ? undefined
    : { name, value: token, path: col.path, maxAge, most: MAX_COMPANIONS };
}

/** One for each collection: a newer link to it takes the place of an older one. */
function companionName(res: string): string {
  return COMPANION_PREFIX + res.slice(0, 12);
}
