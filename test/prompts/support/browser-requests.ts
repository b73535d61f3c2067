import type { Answer, RequestOptions } from '../../support/http-client.js';

/** What Chromium sends with a navigation; `sec-fetch-user` is for what a person did. */
export const CHROME = {
  'user-agent':
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
  accept:
    'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
} as const;

/** A scanner that pretends to be Chrome, without what only browsers send. */
export const SCANNER = { 'user-agent': CHROME['user-agent'], accept: CHROME.accept };

/** The names and values of the cookies that an answer sets, as a browser sends them back. */
export function cookiesOf({ headers }: Answer): string {
  return (headers['set-cookie'] ?? []).map((line) => line.split(';', 1)[0]).join('; ');
}

/** The hidden fields of the form of a page. */
export function fieldsOf({ text }: Answer): Record<string, string> {
  const hidden = text.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g);
  return Object.fromEntries([...hidden].map(([, name, value]) => [name, value]));
}

/** A form that is sent. */
export function post(fields: Record<string, string>, headers: object = {}): RequestOptions {
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const body = new URLSearchParams(fields).toString();
  return { method: 'POST', headers: { ...type, 'content-length': String(body.length), ...headers }, body };
}
