import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import { testClock } from '../support/clock.js';
import type { Answer, RequestOptions } from '../support/http-client.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { expectNoTrace, expectRefusal } from '../support/refusal.js';
import { ADAPTERS } from '../support/test-app.js';
import { CHROME, cookiesOf, fieldsOf, post, SCANNER } from './support/browser-requests.js';

const CONTENT = Buffer.from('the file');

describe.each(ADAPTERS)('a link that asks to be confirmed, on %s,', (adapter) => {
  let app: LimitedApp;
  const clock = testClock();
  beforeAll(async () => {
    app = await startLimitedApp(adapter, {
      options: { clock },
      contents: { 'report.pdf': () => Download.buffer(CONTENT, { filename: 'report.pdf' }) },
    });
  });
  afterAll(() => app.close());

  const link = (more = {}): DownloadLink =>
    app.link('report.pdf', { confirm: true, maxDownloads: 1, ...more });

  /** Presses the button of the page, as the browser that was shown it. */
  const press = (url: string, page: Answer, more: RequestOptions['headers'] = {}): Promise<Answer> =>
    app.fetch(
      url,
      post(fieldsOf(page), { ...CHROME, 'sec-fetch-user': '?1', cookie: cookiesOf(page), ...more }),
    );

  it('shows a page with one button, and counts nothing', async () => {
    const { url } = link({ filename: 'Report <1>.pdf' });
    const page = await app.fetch(url, { headers: CHROME });
    expect(page.status).toBe(200);
    expect(page.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'strict-origin',
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
    });
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(page.text).toContain('Report &#60;1&#62;.pdf');
    expect(page.text.match(/<button/g)).toHaveLength(1);
    expect(page.text).not.toMatch(/<script|<a |href|<img/);
  });

  it('downloads after the button was pressed, and again without the page', async () => {
    const one = link({ maxDownloads: 2 });
    const page = await app.fetch(one.url, { headers: CHROME });
    const pressed = await press(one.url, page);
    expect(pressed.status).toBe(303);
    expect(new URL(pressed.headers.location!, one.url).href).toBe(one.url);
    const cookie = cookiesOf(pressed);
    for (const headers of [{ ...CHROME, cookie }, { cookie }, { cookie, range: 'bytes=4-' }]) {
      const file = await app.fetch(one.url, { headers });
      expect(CONTENT.toString()).toContain(file.text);
      expect([200, 206]).toContain(file.status);
    }
    expect(await app.used(one)).toBeGreaterThan(0);
  });

  it('tells a person who comes second that it is used up', async () => {
    const one = link();
    const page = await app.fetch(one.url, { headers: CHROME });
    await app.fetch(one.url, { headers: { ...CHROME, cookie: cookiesOf(await press(one.url, page)) } });
    await app.used(one);
    clock.advance(60_000);
    const second = await app.fetch(one.url, { headers: { ...CHROME, 'user-agent': 'Mozilla/5.0 other' } });
    expect([second.status, second.text.includes('used up')]).toEqual([410, true]);
  });

  it.each<[string, (page: Answer, other: Answer) => RequestOptions]>([
    ['without a cookie', (page) => post(fieldsOf(page), CHROME)],
    [
      'with the field of another browser',
      (page, other) => post(fieldsOf(other), { cookie: cookiesOf(page) }),
    ],
    ['without the field', (page) => post({}, { ...CHROME, cookie: cookiesOf(page) })],
    [
      'by a script of a browser',
      (page) => post(fieldsOf(page), { ...CHROME, 'sec-fetch-mode': 'navigate', cookie: cookiesOf(page) }),
    ],
  ])('shows its page again for a form that was sent %s', async (_how, request) => {
    const one = link();
    const pages = [
      await app.fetch(one.url, { headers: CHROME }),
      await app.fetch(one.url, { headers: CHROME }),
    ];
    const { headers, ...form } = request(pages[0]!, pages[1]!);
    const answer = await app.fetch(one.url, {
      ...form,
      headers: { ...(headers as object), accept: CHROME.accept },
    });
    expect([answer.status, answer.text.includes('role="alert"')]).toEqual([403, true]);
    expect(answer.headers).not.toHaveProperty('location');
    const still = await app.fetch(one.url, { headers: { ...CHROME, cookie: cookiesOf(answer) } });
    expect(still.text).toContain('<button>');
    expect(await app.used(one)).toBe(0);
  });

  it.each<[string, Record<string, string>]>([
    [
      'Safari, which names no user',
      { 'user-agent': 'Mozilla/5.0 (Macintosh) AppleWebKit/605.1 Version/18.0 Safari/605.1' },
    ],
    [
      'Chrome of iOS',
      { 'user-agent': 'Mozilla/5.0 (iPhone) AppleWebKit/605.1 CriOS/130.0 Mobile/15E148 Safari/604.1' },
    ],
    ['Chrome behind a service worker', { 'sec-fetch-dest': 'empty' }],
    [
      'Firefox behind a service worker',
      {
        'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0',
        'sec-fetch-mode': 'same-origin',
        'sec-fetch-dest': 'empty',
      },
    ],
  ])('takes a press in %s', async (_browser, headers) => {
    const { url } = link();
    const page = await app.fetch(url, { headers: { ...CHROME, ...headers } });
    const cookie = cookiesOf(page);
    const pressed = await app.fetch(url, post(fieldsOf(page), { ...CHROME, ...headers, cookie }));
    expect(pressed.status).toBe(303);
  });

  it('takes the press in either of two tabs', async () => {
    const { url } = link();
    const first = await app.fetch(url, { headers: CHROME });
    const cookie = cookiesOf(first);
    const second = await app.fetch(url, { headers: { ...CHROME, cookie } });
    for (const page of [first, second]) {
      expect((await press(url, page, { cookie })).status).toBe(303);
    }
  });

  it('stays unused, whatever scanners of mail send from two addresses', async () => {
    const one = link();
    for (const address of ['127.0.0.2', '127.0.0.3']) {
      for (const method of ['HEAD', 'GET']) {
        const answer = await app.fetch(one.url, { method, headers: SCANNER, localAddress: address });
        expect(answer.status).toBe(200);
        for (const [, href] of answer.text.matchAll(/(?:href|src|action)=["']?([^"'\s>]*)/g)) {
          await app.fetch(new URL(href!, one.url).href, { headers: SCANNER, localAddress: address });
        }
      }
    }
    expect(await app.used(one)).toBe(0);
  });

  it.each<[string, Record<string, string>]>([
    ['curl', { 'user-agent': 'curl/8.5.0', accept: '*/*' }],
    ['wget', { 'user-agent': 'Wget/1.21.4', accept: '*/*' }],
    ['fetch() of a page', { ...CHROME, accept: '*/*', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }],
  ])('refuses %s', async (_client, headers) => {
    const one = link();
    expectRefusal(await app.fetch(one.url, { headers }), 403, 'LINK_UNCONFIRMED', one.token);
    expect(await app.used(one)).toBe(0);
  });

  it.each<[string, Record<string, string>]>([
    ['<a download>', { 'sec-fetch-dest': 'empty', accept: '*/*' }],
    ['<iframe>', { 'sec-fetch-dest': 'iframe' }],
    ['<embed>', { 'sec-fetch-dest': 'embed' }],
  ])('shows no page where the browser shows none: %s', async (_element, headers) => {
    const answer = await app.fetch(link().url, { headers: { ...CHROME, ...headers } });
    expect([answer.status, answer.text.includes('LINK_UNCONFIRMED')]).toEqual([403, true]);
    expect(answer.text).not.toContain('<button>');
  });

  it("lets programs pass with confirm: 'browsers'", async () => {
    const one = link({ confirm: 'browsers' });
    expect((await app.fetch(one.url, { headers: { 'user-agent': 'Wget/1.21.4', accept: '*/*' } })).text).toBe(
      'the file',
    );
    const other = link({ confirm: 'browsers' });
    expect((await app.fetch(other.url, { headers: SCANNER })).text).toContain('<button>');
    const fetched = await app.fetch(other.url, {
      headers: { ...CHROME, accept: '*/*', 'sec-fetch-mode': 'cors' },
    });
    expectRefusal(fetched, 403, 'LINK_UNCONFIRMED');
  });

  it('has its token neither in the page nor in a cookie', async () => {
    const { url, token } = link();
    const page = await app.fetch(url, { headers: CHROME });
    const pressed = await press(url, page);
    expectNoTrace(
      page.text + JSON.stringify(page.headers) + JSON.stringify(pressed.headers['set-cookie']),
      token,
    );
  });

  it('confines its cookie to the link, for as long as that lives', async () => {
    const { url } = link({ expiresIn: '10m' });
    const page = await app.fetch(url, { headers: CHROME });
    const [cookie] = (await press(url, page)).headers['set-cookie']!;
    expect(cookie).toMatch(
      /^ss-prompt-[\w-]+=[\w-]{36}\.[\w-]{43}; Path=\/files\/report\.pdf; Max-Age=600; HttpOnly; SameSite=Lax/,
    );
  });

  it('is not opened by the cookie of another link', async () => {
    const [one, other] = [link(), link()];
    const page = await app.fetch(one.url, { headers: CHROME });
    const [, value] = cookiesOf(await press(one.url, page)).split('=');
    const [name] = cookiesOf(await app.fetch(other.url, { headers: CHROME })).split('=');
    const answer = await app.fetch(other.url, { headers: { ...CHROME, cookie: `${name}=${value}` } });
    expect(answer.text).toContain('<button>');
  });

  it('does not press ahead of its user', async () => {
    const one = link({ maxDownloads: undefined });
    const page = await app.fetch(one.url, { headers: { ...CHROME, 'sec-purpose': 'prefetch' } });
    expect(page.text).toContain('<button>');
  });
});
