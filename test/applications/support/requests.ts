import type { Answer, RequestOptions } from '../../support/http-client.js';
import type { TestApp } from '../../support/test-app.js';

type Headers = Readonly<Record<string, string>>;

/** Sends JSON. */
export function post(app: TestApp, path: string, body: object = {}, headers: Headers = {}, method = 'POST') {
  return app.request(path, {
    method,
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** The cookie that an answer sets, as a browser sends it back. */
export function cookieOf({ headers }: Answer): { cookie: string } {
  return { cookie: headers['set-cookie']?.[0]?.split(';', 1)[0] ?? '' };
}

/** The status of a HEAD request. */
export async function statusOf(app: TestApp, path: string, headers: RequestOptions['headers'] = {}) {
  return (await app.request(path, { method: 'HEAD', headers })).status;
}
