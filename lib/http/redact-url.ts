/** The default name of the query parameter, the cookie and the form field. */
export const DEFAULT_TOKEN_NAME = 'ss-tok';

/** As much of the `tokenName` option as concerns URLs. */
type QueryName = Readonly<Partial<Record<'query' | 'cookie' | 'form', string>>>;

/** What stands in place of a token. */
export const REDACTED = 'REDACTED';

/** Path, query and fragment (RFC 3986 §3), the latter two with their marks. */
const PARTS = /^([^?#]*)(\?[^#]*)?(#.*)?$/s;
const PATH_PARAMETERS = /([;&])([^;&]*)/g;
const QUERY_PARAMETERS = /([?&;])([^&;]*)/g;
const FRAGMENT_PARAMETERS = /([#?&;])([^?&;]*)/g;

/**
 * The URL with the value of the token parameter replaced by `REDACTED`, for loggers and tracers that run
 * before the guard has taken the token out of the request. It is more generous than the guard: other cases,
 * encoded names, arrays and `;` separators are redacted too.
 *
 * @param tokenName the `tokenName` option of the module, as it is; default `'ss-tok'`
 * @example
 * ```ts
 * morgan.token<Request, Response>('url', (request) => redactUrl(request.originalUrl));
 * ```
 */
export function redactUrl(url: string, tokenName: string | QueryName = {}): string {
  const name = typeof tokenName === 'string' ? tokenName : (tokenName.query ?? DEFAULT_TOKEN_NAME);
  return rewriteToken(url, name, (pair) => pair.slice(0, pair.indexOf('=') + 1) + REDACTED);
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

type Rewrite = (pair: string) => string | undefined;

function rewriteToken(url: string, tokenName: string, rewrite: Rewrite): string {
  const [, path = '', query = '', fragment = ''] = PARTS.exec(url) ?? [];
  const semicolon = path.indexOf(';');
  const parameters = semicolon === -1 ? path.length : semicolon;
  return (
    path.slice(0, parameters) +
    rewritePairs(path.slice(parameters), PATH_PARAMETERS, tokenName, rewrite) +
    rewritePairs(query, QUERY_PARAMETERS, tokenName, rewrite) +
    rewritePairs(fragment, FRAGMENT_PARAMETERS, tokenName, rewrite)
  );
}

/** A mark that loses its first pair passes to the next one. */
function rewritePairs(text: string, pairs: RegExp, tokenName: string, rewrite: Rewrite): string {
  let kept = '';
  let mark: string | undefined;
  for (const [, separator, pair] of text.matchAll(pairs) as Iterable<[string, string, string]>) {
    const rewritten = isTokenPair(pair, tokenName) ? rewrite(pair) : pair;
    if (rewritten === undefined) {
      if (kept === '' || separator === '?') {
        mark ??= separator;
      }
    } else {
      kept += (mark ?? separator) + rewritten;
      mark = undefined;
    }
  }
  return kept;
}

function isTokenPair(pair: string, tokenName: string): boolean {
  const equals = pair.indexOf('=');
  return equals !== -1 && isTokenName(decodeName(pair.slice(0, equals)), tokenName);
}

/** As the query parser of the guard decodes it, which takes broken escapes as they are. */
function decodeName(name: string): string {
  if (!/[%+]/.test(name)) {
    return name;
  }
  return new URLSearchParams(name).keys().next().value ?? '';
}
