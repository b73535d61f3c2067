import { Controller, Get, Param } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions } from '../../lib/index.js';
import type { Answer } from '../support/http-client.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { CHROME, cookiesOf, fieldsOf, post } from './support/browser-requests.js';

@Controller('folders')
class FoldersController {
  @Get(':folder/:file')
  @StreamDownload()
  file(@Param('folder') folder: string, @Param('file') file: string) {
    return Download.buffer(Buffer.from(`${file} of ${folder}`));
  }
}

const PERSON = { ...CHROME, 'sec-fetch-user': '?1' };
const IMAGE = {
  ...CHROME,
  accept: 'image/avif,*/*;q=0.8',
  'sec-fetch-mode': 'no-cors',
  'sec-fetch-dest': 'image',
};
const PROGRAM = { accept: '*/*' };

const ASKS = [
  ['to be confirmed', { confirm: true }, 'LINK_UNCONFIRMED'],
  ['browsers to confirm it', { confirm: 'browsers' }, 'LINK_UNCONFIRMED'],
  ['for a password', { challenge: true }, 'CHALLENGE_UNANSWERED'],
] as const;
const EXCHANGES = ['cookie', 'redirect'] as const;
const CASES = ASKS.flatMap(([name, asks, code]) =>
  EXCHANGES.map((exchange) => [name, exchange, asks, code] as const),
);

/** A browser that has been at some places. */
class Visitor {
  private readonly cookies = new Map<string, { value: string; path: string }>();

  constructor(private readonly app: TestApp) {}

  /** Asks for one URL, without following where it leads. */
  async ask(path: string, headers: object = PERSON, request: object = {}): Promise<Answer> {
    const { pathname } = new URL(path, this.app.url);
    const sent = [...this.cookies].filter(([, cookie]) => `${pathname}/`.startsWith(`${cookie.path}/`));
    const cookie = sent.map(([name, { value }]) => `${name}=${value}`).join('; ');
    const answer = await this.app.request(path, { ...request, headers: { ...headers, cookie } });
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name, value, cookiePath] = /^([^=]+)=([^;]*).*?; Path=([^;]*)/.exec(line)!;
      this.cookies.set(name!, { value: value!, path: cookiePath! });
    }
    return answer;
  }

  /** Follows redirections, as navigations do; answers where it ends. */
  async goTo(
    path: string,
    request?: object,
    headers: object = PERSON,
  ): Promise<{ path: string; answer: Answer }> {
    const answer = await this.ask(path, headers, request);
    if (answer.status !== 303) {
      return { path, answer };
    }
    const { pathname, search } = new URL(answer.headers.location!, this.app.url + path);
    return this.goTo(pathname + search);
  }

  /** Presses the button of the page at a URL. */
  async press(path: string, page: Answer, answer = '4711'): Promise<{ path: string; answer: Answer }> {
    const { headers, ...form } = post({ ...fieldsOf(page), answer });
    return this.goTo(path, form, { ...PERSON, ...(headers as object) });
  }

  /** A picture in a page. */
  picture(path: string): Promise<Answer> {
    return this.ask(path, IMAGE);
  }
}

describe.each(ADAPTERS)('a link to a collection that asks first, on %s,', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [FoldersController],
      options: { secret: SECRET, challenge: (answer) => answer === '4711' },
    });
  });
  afterAll(() => app.close());

  const link = (options: CreateLinkOptions, folder = 'a') =>
    app.get(DownloadLinks).create(FoldersController, 'file', {
      params: { folder, file: 'index.html' },
      free: ['file'],
      ...options,
    });

  it.each(CASES)(
    '%s, shows its page and sets no companion cookie until then (exchange: %s)',
    async (_name, exchange, asks, code) => {
      const { url, token } = link({ exchange, ...asks });
      const visitor = new Visitor(app);
      const page = await visitor.ask(url);
      expect([page.status, page.text.includes('<form method="post">')]).toEqual([200, true]);
      expect(cookiesOf(page)).not.toContain('ss-open-');
      expectRefusal(await visitor.picture(`/folders/a/b.svg?ss-tok=${token}`), 403, code, token);
      expect((await visitor.picture('/folders/a/b.svg')).code).toBe('TOKEN_MISSING');
      // Whoever has the token can put it into the cookie by hand
      const byHand = { ...IMAGE, cookie: `ss-open-x=${token}` };
      expectRefusal(await app.request('/folders/a/b.svg', { headers: byHand }), 403, code, token);
      expectRefusal(
        await app.request('/folders/a/b.svg', { headers: { ...IMAGE, ...bearer(token) } }),
        403,
        code,
        token,
      );
    },
  );

  it.each(CASES)(
    '%s, opens all of it after its button was pressed once (exchange: %s)',
    async (_name, exchange, asks) => {
      const { url, token } = link({ exchange, ...asks });
      const visitor = new Visitor(app);
      const { path, answer } = await visitor.press(url, await visitor.ask(url));
      expect(answer.text).toBe('index.html of a');
      expect(path).toBe(exchange === 'redirect' ? '/folders/a/index.html' : url);
      expect((await visitor.picture('/folders/a/b.svg')).text).toBe('b.svg of a');
      expect((await visitor.goTo('/folders/a/c.html')).answer.text).toBe('c.html of a');
      const second = await visitor.goTo(`/folders/a/d.html?ss-tok=${token}`);
      expect(second.answer.text).toBe('d.html of a');
      expect((await visitor.picture('/folders/b/b.svg')).code).toBe('TOKEN_MISSING');
      expect((await new Visitor(app).picture('/folders/a/b.svg')).code).toBe('TOKEN_MISSING');
    },
  );

  it.each(CASES)(
    '%s, is asked for at whichever of its files a person begins (exchange: %s)',
    async (_name, exchange, asks) => {
      const { url } = link({ exchange, ...asks });
      const visitor = new Visitor(app);
      const elsewhere = url.replace('index.html', 'z.html');
      const { answer } = await visitor.press(elsewhere, await visitor.ask(elsewhere));
      expect(answer.text).toBe('z.html of a');
      expect((await visitor.goTo(url)).answer.text).toBe('index.html of a');
    },
  );

  it.each(CASES)(
    '%s, does not mix with another one in a second tab (exchange: %s)',
    async (_name, exchange, asks, code) => {
      const [one, other] = [link({ exchange, ...asks }), link({ exchange, ...asks }, 'b')];
      const visitor = new Visitor(app);
      const pages = [await visitor.ask(one.url), await visitor.ask(other.url)] as const;
      await visitor.press(one.url, pages[0]);
      expect((await visitor.picture('/folders/a/b.svg')).text).toBe('b.svg of a');
      expectRefusal(await visitor.picture(`/folders/b/b.svg?ss-tok=${other.token}`), 403, code, other.token);
      expect((await visitor.press(other.url, pages[1])).answer.text).toBe('index.html of b');
      await app.get(DownloadLinks).revoke({ link: one.id });
      expect((await visitor.picture('/folders/a/b.svg')).code).toBe('LINK_REVOKED');
      expect((await visitor.picture('/folders/b/b.svg')).text).toBe('b.svg of b');
    },
  );

  it.each(CASES)(
    '%s, leaves an older link open until it is answered itself (exchange: %s)',
    async (_name, exchange, asks) => {
      const [older, newer] = [link({ exchange, ...asks }), link({ exchange, ...asks })];
      const visitor = new Visitor(app);
      await visitor.press(older.url, await visitor.ask(older.url));
      const page = await visitor.ask(newer.url);
      expect(page.text).toContain('<form');
      expect((await visitor.picture('/folders/a/b.svg')).text).toBe('b.svg of a');
      await visitor.press(newer.url, page);
      await app.get(DownloadLinks).revoke({ link: older.id });
      expect((await visitor.picture('/folders/a/b.svg')).text).toBe('b.svg of a');
    },
  );

  it.each(EXCHANGES)('for a password, does not take a wrong one (exchange: %s)', async (exchange) => {
    const { url } = link({ exchange, challenge: true });
    const visitor = new Visitor(app);
    const { answer } = await visitor.press(url, await visitor.ask(url), '0815');
    expect([answer.status, answer.text.includes('role="alert"')]).toEqual([403, true]);
    expect((await visitor.picture('/folders/a/b.svg')).code).toBe('TOKEN_MISSING');
  });

  it('lets programs pass if only browsers are asked', async () => {
    const { url } = link({ confirm: 'browsers' });
    const program = await app.request(url, { headers: PROGRAM });
    expect(program.text).toBe('index.html of a');
    const headers = { ...PROGRAM, cookie: cookiesOf(program) };
    expect((await app.request('/folders/a/b.svg', { headers })).text).toBe('b.svg of a');
  });
});
