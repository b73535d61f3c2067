import { expect, it } from 'vitest';
import type { HttpExchange } from '../../lib/http/http-exchange.js';
import { LinkCookies } from '../../lib/http/link-cookies.js';

/** The `Set-Cookie` of a cookie with a path that only a hostile request has. */
function setOn(path: string): string[] {
  const lines: string[] = [];
  const httpAdapter = { appendHeader: (_response: object, _name: string, line: string) => lines.push(line) };
  const exchange = { request: { protocol: 'http' }, rawRequest: { headers: {} }, response: {} };
  new LinkCookies({ cookie: {} }, { httpAdapter } as never).set(
    { name: 'ss-lease-1', value: 'v', path, maxAge: 60 },
    exchange as unknown as HttpExchange,
  );
  return lines;
}

it.each([
  ['/files/a%20b', '/files/a%20b'],
  ['/a; Domain=evil\r\nX: y', '/a%3B%20Domain=evil%0D%0AX:%20y'],
])('the path %j does not break the cookie of a link', (path, written) => {
  expect(setOn(path)).toEqual([
    `ss-lease-1=v; Path=${written}; Max-Age=60; HttpOnly; SameSite=Lax; Priority=Low`,
  ]);
});
