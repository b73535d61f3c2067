import { type HttpExchange, urlencodedForm } from './http-exchange.js';
import { isTokenName, redactUrl, removeToken } from './redact-url.js';

/**
 * Takes the token out of what loggers read at the end of a response: the URL, the parsed query, a form
 * field, and the `Referer` of a page that was itself opened with a token. The Authorization header and the
 * cookie stay; an application may need them further on.
 */
export function scrubRequest({ request, rawRequest }: HttpExchange, tokenName: string): void {
  const { url, headers } = rawRequest;
  if (url !== undefined && mayCarryToken(url)) {
    const scrubbed = removeToken(url, tokenName);
    if (scrubbed !== url) {
      rawRequest.url = scrubbed;
      forgetParsedUrls(rawRequest);
    }
    if (rawRequest.originalUrl !== undefined) {
      rawRequest.originalUrl = removeToken(rawRequest.originalUrl, tokenName);
    }
    dropFields(request.query, tokenName);
  }
  if (headers.referer !== undefined && mayCarryToken(headers.referer)) {
    headers.referer = redactUrl(headers.referer, tokenName);
  }
  dropFields(urlencodedForm(request), tokenName);
}

function mayCarryToken(url: string): boolean {
  return url.includes('?') || url.includes(';');
}

/** The parsed URLs that the parseurl package of Express keeps on the request, token and all. */
function forgetParsedUrls(rawRequest: object): void {
  for (const memo of ['_parsedUrl', '_parsedOriginalUrl']) {
    if (memo in rawRequest) (rawRequest as Record<string, unknown>)[memo] = undefined;
  }
}

function dropFields(fields: Record<string, unknown> | undefined, tokenName: string): void {
  if (!fields) return;
  for (const name of Object.keys(fields)) {
    if (isTokenName(name, tokenName)) Reflect.deleteProperty(fields, name);
  }
}
