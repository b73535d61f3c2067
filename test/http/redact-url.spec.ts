import { describe, expect, it } from 'vitest';
import { redactUrl } from '../../lib/index.js';
import { isTokenName, removeToken } from '../../lib/http/redact-url.js';

const T = 'eyJhbGciOiJIUzI1NiJ9.e30.AAAA';

/** A URL, what a logger may see of it, and what is left of it without the token. */
const URLS: readonly (readonly [name: string, url: string, redacted: string, removed: string])[] = [
  ['a path', '/files/42', '/files/42', '/files/42'],
  ['nothing', '', '', ''],
  ['an empty query', '/a?', '/a?', '/a?'],
  ['the token alone', `/a?ss-tok=${T}`, '/a?ss-tok=REDACTED', '/a'],
  ['the token first', `/a?ss-tok=${T}&b=1`, '/a?ss-tok=REDACTED&b=1', '/a?b=1'],
  ['the token last', `/a?b=1&ss-tok=${T}`, '/a?b=1&ss-tok=REDACTED', '/a?b=1'],
  ['the token between', `/a?b=1&ss-tok=${T}&c=2`, '/a?b=1&ss-tok=REDACTED&c=2', '/a?b=1&c=2'],
  ['the token twice', `/a?ss-tok=${T}&b=1&ss-tok=${T}`, '/a?ss-tok=REDACTED&b=1&ss-tok=REDACTED', '/a?b=1'],
  ['nothing but tokens', `/a?ss-tok=${T}&ss-tok=${T}`, '/a?ss-tok=REDACTED&ss-tok=REDACTED', '/a'],
  ['an absolute URL', `https://h.example:8443/a?ss-tok=${T}&b=1`, 'https://h.example:8443/a?ss-tok=REDACTED&b=1', 'https://h.example:8443/a?b=1'],
  ['an absolute URL without a path', `https://h.example?ss-tok=${T}`, 'https://h.example?ss-tok=REDACTED', 'https://h.example'],
  ['a query alone', `?ss-tok=${T}`, '?ss-tok=REDACTED', ''],
  ['the name encoded', `/a?ss%2Dtok=${T}`, '/a?ss%2Dtok=REDACTED', '/a'],
  ['the name encoded in small letters', `/a?ss%2dtok=${T}`, '/a?ss%2dtok=REDACTED', '/a'],
  ['the name in capitals', `/a?SS-TOK=${T}`, '/a?SS-TOK=REDACTED', '/a'],
  ['brackets', `/a?ss-tok[]=${T}&ss-tok[a]=${T}`, '/a?ss-tok[]=REDACTED&ss-tok[a]=REDACTED', '/a'],
  ['brackets encoded', `/a?ss-tok%5B0%5D=${T}`, '/a?ss-tok%5B0%5D=REDACTED', '/a'],
  ['blanks around the name', `/a?+ss-tok+=${T}&%20ss-tok=${T}`, '/a?+ss-tok+=REDACTED&%20ss-tok=REDACTED', '/a'],
  ['a semicolon before', `/a?b=1;ss-tok=${T}`, '/a?b=1;ss-tok=REDACTED', '/a?b=1'],
  ['a semicolon behind', `/a?ss-tok=${T};b=1`, '/a?ss-tok=REDACTED;b=1', '/a?b=1'],
  ['semicolons for the whole query', `/a;ss-tok=${T};b=1`, '/a;ss-tok=REDACTED;b=1', '/a;b=1'],
  ['a semicolon, then an ampersand', `/a;ss-tok=${T}&b=1`, '/a;ss-tok=REDACTED&b=1', '/a;b=1'],
  ['a semicolon in the path', `/a;v=1/b;w?ss-tok=${T}`, '/a;v=1/b;w?ss-tok=REDACTED', '/a;v=1/b;w'],
  ['a semicolon in the path, other parameters', `/a;v=1?b=1&ss-tok=${T}&c=2`, '/a;v=1?b=1&ss-tok=REDACTED&c=2', '/a;v=1?b=1&c=2'],
  ['a token in the path and one in the query', `/a;ss-tok=${T}?b=1&ss-tok=${T}`, '/a;ss-tok=REDACTED?b=1&ss-tok=REDACTED', '/a?b=1'],
  ['a token in the path, parameters in the query', `/a;ss-tok=${T}?b=1`, '/a;ss-tok=REDACTED?b=1', '/a?b=1'],
  ['an ampersand in the path', `/a&b/c?ss-tok=${T}`, '/a&b/c?ss-tok=REDACTED', '/a&b/c'],
  ['the name in the path', '/ss-tok=1/ss-tok?b=1', '/ss-tok=1/ss-tok?b=1', '/ss-tok=1/ss-tok?b=1'],
  ['a fragment', `/a?ss-tok=${T}#top`, '/a?ss-tok=REDACTED#top', '/a#top'],
  ['a fragment with a query of its own', `/a#/files?ss-tok=${T}`, '/a#/files?ss-tok=REDACTED', '/a#/files'],
  ['a fragment that is the token', `/a#ss-tok=${T}&b=1`, '/a#ss-tok=REDACTED&b=1', '/a#b=1'],
  ['a question mark in the token', `/a?ss-tok=${T}?${T}&b=1`, '/a?ss-tok=REDACTED&b=1', '/a?b=1'],
  ['a question mark in another value', `/a?b=c?d&ss-tok=${T}`, '/a?b=c?d&ss-tok=REDACTED', '/a?b=c?d'],
  ['an equals sign in the token', `/a?ss-tok=${T}==&b=1`, '/a?ss-tok=REDACTED&b=1', '/a?b=1'],
  ['an empty token', '/a?ss-tok=&b=1', '/a?ss-tok=REDACTED&b=1', '/a?b=1'],
  ['the name without a value', '/a?ss-tok&b=1', '/a?ss-tok&b=1', '/a?ss-tok&b=1'],
  ['empty pairs', `/a?&&ss-tok=${T}&&b=1`, '/a?&&ss-tok=REDACTED&&b=1', '/a?&&&b=1'],
  ['longer names', '/a?ss-token=1&xss-tok=2&ss-tok.x=3', '/a?ss-token=1&xss-tok=2&ss-tok.x=3', '/a?ss-token=1&xss-tok=2&ss-tok.x=3'],
  ['the token name as a value', '/a?b=ss-tok', '/a?b=ss-tok', '/a?b=ss-tok'],
  ['broken escapes elsewhere', `/%zz?%=1&ss-tok=${T}&b=%`, '/%zz?%=1&ss-tok=REDACTED&b=%', '/%zz?%=1&b=%'],
  ['broken escapes within the brackets', `/a?ss-tok[%]=${T}&ss%2dtok[%zz]=${T}`, '/a?ss-tok[%]=REDACTED&ss%2dtok[%zz]=REDACTED', '/a'],
  ['a newline in the value', `/a?ss-tok=x\n${T}&b=1`, '/a?ss-tok=REDACTED&b=1', '/a?b=1'],
]; // prettier-ignore

describe('redactUrl', () => {
  it.each(URLS)('of %s', (_name, url, redacted) => {
    expect(redactUrl(url)).toBe(redacted);
    expect(redactUrl(redactUrl(url))).toBe(redacted);
  });

  it('goes by another name where the module does', () => {
    expect(redactUrl(`/a?X-Tok=${T}&ss-tok=1`, 'x-tok')).toBe('/a?X-Tok=REDACTED&ss-tok=1');
    expect(redactUrl(`/a?aXb=${T}`, 'a.b')).toBe(`/a?aXb=${T}`);
  });

  it('looks at every character of a hostile URL a limited number of times', () => {
    for (const part of ['?', ';', '&', '#', '?;', 'ss-tok[', '&ss-tok', '%', '=', '?ss-tok=&']) {
      const url = `/a?${part.repeat(50_000)}`;
      expect(redactUrl(url).length).toBeGreaterThan(0);
    }
  }, 2_000);
});

describe('removeToken', () => {
  it.each(URLS)('from %s', (_name, url, _redacted, removed) =>
    expect(removeToken(url, 'ss-tok')).toBe(removed),
  );
});

describe('isTokenName', () => {
  it.each(['ss-tok', 'SS-Tok', 'ss-tok[]', 'ss-tok[a][b]', ' ss-tok '])('is %j', (name) => {
    expect(isTokenName(name, 'ss-tok')).toBe(true);
    expect(isTokenName(name, 'SS-TOK')).toBe(true);
  });

  it.each(['', 'ss', 'ss-token', 'xss-tok', '[ss-tok]', 'ss_tok'])('is not %j', (name) =>
    expect(isTokenName(name, 'ss-tok')).toBe(false),
  );
});
