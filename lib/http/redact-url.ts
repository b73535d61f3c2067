/** The default name of the query parameter, the cookie and the form field. */
export const DEFAULT_TOKEN_NAME = 'ss-tok';

type TokenNames = Readonly<Partial<Record<'query' | 'cookie' | 'form', string>>>;

/** What stands in place of a token. */
export const REDACTED = 'REDACTED';

/** Path, query and fragment of a URL (RFC 3986 §3), the latter two with their first character. */
const PARTS = /^([^?#]*)(\?[^#]*)?(#.*)?$/s;
/** Parameters, each with its separator in front. */
const PARAMETERS = /[?&;][^&;]*/g;
const FRAGMENT_PARAMETERS = /[#?&;][^?&;]*/g;

/**
 * Replaces the value of the token parameter in a URL by `REDACTED`, for loggers and tracers that run before
 * the guard has removed the token from the request. It redacts more than the guard reads: names in another
 * case, encoded names, arrays and `;` separators too.
 *
 * @param tokenName the `tokenName` option of the module; default `'ss-tok'`
 * @example
 * ```ts
 * morgan.token<Request, Response>('url', (request) => redactUrl(request.originalUrl));
 * ```
 */
export function redactUrl(url: string, tokenName: string | TokenNames = {}): string {
  const name = typeof tokenName === 'string' ? tokenName : (tokenName.query ?? DEFAULT_TOKEN_NAME);
  return rewriteToken(url, name, (pair) => pair.slice(0, pair.indexOf('=') + 1) + REDACTED);
}

/** Removes the token parameter from a URL, in any of its spellings. */
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
    rewritePairs(path.slice(parameters), PARAMETERS, tokenName, rewrite) +
    rewritePairs(query, PARAMETERS, tokenName, rewrite) +
    rewritePairs(fragment, FRAGMENT_PARAMETERS, tokenName, rewrite)
  );
}

/** When the first pair is removed, the next one takes over its separator. */
function rewritePairs(text: string, parameters: RegExp, tokenName: string, rewrite: Rewrite): string {
  let kept = '';
  let mark: string | undefined;
  for (const parameter of text.match(parameters) ?? []) {
    const [separator, pair] = [parameter.charAt(0), parameter.slice(1)];
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

/** Decodes a name as the guard's query parser does, which keeps broken escapes as they are. */
function decodeName(name: string): string {
  const [decoded = name] = /[%+]/.test(name) ? new URLSearchParams(name).keys() : [];
  return decoded;
}
