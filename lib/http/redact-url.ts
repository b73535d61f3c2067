/** The default name of the query parameter, the cookie and the form field. */
export const DEFAULT_TOKEN_NAME = 'ss-tok';

const QUERY = /^([^?;#]*)([?;][^#]*)(.*)$/s;
const PAIRS = /([?&;])([^&;]*)/g;

/**
 * The URL with the value of the token parameter replaced by `REDACTED`, for loggers and tracers that run
 * before the guard has taken the token out of the request. It is more generous than the guard: other cases, encoded
 * names, arrays and `;` separators are redacted too.
 *
 * @param tokenName the `tokenName` option of the module; default `'ss-tok'`
 * @example
 * ```ts
 * morgan.token('url', (request) => redactUrl(request.originalUrl));
 * ```
 */
export function redactUrl(url: string, tokenName: string = DEFAULT_TOKEN_NAME): string {
  return rewriteToken(url, tokenName, (pair) => `${pair.slice(0, pair.indexOf('=') + 1)}REDACTED`);
}

/** The URL without the token parameter, in any of its spellings. */
export function removeToken(url: string, tokenName: string): string {
  return rewriteToken(url, tokenName, () => undefined);
}

/** Whether a parameter's name, once decoded, is that of the token: in any case, as an array or an object. */
export function isTokenName(name: string, tokenName: string): boolean {
  const bracket = name.indexOf('[');
  return (bracket === -1 ? name : name.slice(0, bracket)).trim().toLowerCase() === tokenName.toLowerCase();
}

function rewriteToken(url: string, tokenName: string, rewrite: (pair: string) => string | undefined): string {
  const parts = QUERY.exec(url);
  if (!parts) return url;
  const [, path, query, fragment] = parts as unknown as [string, string, string, string];
  let kept = path;
  let opening: string | undefined;
  for (const [, separator, pair] of query.matchAll(PAIRS) as Iterable<[string, string, string]>) {
    const rewritten = isTokenPair(pair, tokenName) ? rewrite(pair) : pair;
    if (rewritten === undefined) {
      if (separator === '?') opening = separator;
    } else {
      kept += (opening ?? separator) + rewritten;
      opening = undefined;
    }
  }
  return kept + fragment;
}

function isTokenPair(pair: string, tokenName: string): boolean {
  const equals = pair.indexOf('=');
  return equals !== -1 && isTokenName(decodeName(pair.slice(0, equals)), tokenName);
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}
