import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Download, MemoryLeaseStore } from '../../lib/index.js';
import type { Challenge, DownloadLink } from '../../lib/index.js';
import { testClock } from '../support/clock.js';
import type { Answer } from '../support/http-client.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { connect } from '../support/raw-connection.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS } from '../support/test-app.js';
import { CHROME, cookiesOf, fieldsOf, post } from './support/browser-requests.js';

const RIGHT = 'correct horse 4711';
const CURL = { 'user-agent': 'curl/8.5.0', accept: '*/*' };
const MINUTE = 60_000;

describe.each(ADAPTERS)('a link with a challenge, on %s,', (adapter) => {
  let app: LimitedApp;
  let challenge: Challenge;
  const clock = testClock();
  const store = new MemoryLeaseStore();
  const logger = new MemoryLogger();
  const asked: unknown[][] = [];
  beforeAll(async () => {
    app = await startLimitedApp(adapter, {
      logger,
      options: { clock, leases: { store }, challenge: (...args) => challenge(...args) },
      contents: { file: () => Download.buffer(Buffer.from('the file')) },
    });
  });
  afterAll(() => app.close());
  beforeEach(() => {
    challenge = (answer, grant, request) => {
      asked.push([answer, grant.claims.share, request.params.name, JSON.stringify(request.body ?? {})]);
      return Promise.resolve(answer === RIGHT);
    };
    asked.length = 0;
  });

  const link = (more = {}): DownloadLink =>
    app.link('file', { challenge: true, maxDownloads: 1, claims: { share: 7 }, ...more });

  const answer = (url: string, text: string, headers: object = CURL): Promise<Answer> =>
    app.fetch(url, post({ answer: text }, headers));

  /** Gives wrong answers, and tells which codes came of them. */
  async function wrong(url: string, times: number): Promise<(string | undefined)[]> {
    const codes: (string | undefined)[] = [];
    for (let i = 0; i < times; i++) {
      codes.push((await answer(url, `wrong ${i}`)).code);
    }
    return codes;
  }

  it('shows a page with a field, and again after a wrong answer', async () => {
    const one = link();
    const page = await app.fetch(one.url, { headers: CHROME });
    expect([page.status, fieldsOf(page)]).toEqual([200, {}]);
    expect(page.text).toMatch(
      /<label for="answer">.*<\/label>\s*<input id="answer" name="answer" type="password"/,
    );
    expect(page.text).not.toContain('role="alert"');
    const again = await answer(one.url, 'wrong', CHROME);
    expect([again.status, again.text.includes('role="alert"')]).toEqual([403, true]);
    expect(again.text).not.toContain('"wrong"');
    expect(await app.used(one)).toBe(0);
  });

  it('opens after the right answer, and stays open for that browser alone', async () => {
    const one = link({ maxDownloads: 2 });
    const right = await answer(one.url, RIGHT, CHROME);
    expect(right.status).toBe(303);
    expect(new URL(right.headers.location!, one.url).href).toBe(one.url);
    const headers = { ...CHROME, cookie: cookiesOf(right) };
    expect((await app.fetch(one.url, { headers })).text).toBe('the file');
    expect((await app.fetch(one.url, { headers })).text).toBe('the file');
    expect((await app.fetch(one.url, { headers: CHROME })).text).toContain('id="answer"');
    expect(asked).toEqual([[RIGHT, 7, 'file', '{}']]);
  });

  it('answers programs with codes', async () => {
    const one = link();
    expectRefusal(await app.fetch(one.url, { headers: CURL }), 403, 'CHALLENGE_UNANSWERED', one.token);
    expectRefusal(await answer(one.url, ''), 403, 'CHALLENGE_UNANSWERED', one.token);
    expectRefusal(await answer(one.url, 'wrong'), 403, 'CHALLENGE_FAILED', one.token);
    const { status, headers } = await answer(one.url, RIGHT);
    expect([status, headers['set-cookie']?.length]).toEqual([303, 1]);
    expect(asked.map(([text]) => text)).toEqual(['wrong', RIGHT]);
  });

  it('is blocked by ten wrong answers, for a while that doubles, and opens to the right one after it', async () => {
    const { url } = link({ expiresIn: '1d' });
    expect(await wrong(url, 11)).toEqual([
      ...Array<string>(10).fill('CHALLENGE_FAILED'),
      'CHALLENGE_BLOCKED',
    ]);
    const blocked = await answer(url, RIGHT);
    expect([blocked.status, blocked.headers['retry-after'], blocked.headers['set-cookie']]).toEqual([
      429,
      '900',
      undefined,
    ]);
    const page = await answer(url, RIGHT, CHROME);
    expect(page.text).toContain('none for 15 minutes');
    expect(asked).toHaveLength(10);

    clock.advance(15 * MINUTE);
    expect((await answer(url, RIGHT)).status).toBe(303);
    expect(await wrong(url, 11)).toEqual([
      ...Array<string>(10).fill('CHALLENGE_FAILED'),
      'CHALLENGE_BLOCKED',
    ]);
    clock.advance(29 * MINUTE);
    expect((await answer(url, RIGHT)).headers['retry-after']).toBe('60');
    clock.advance(MINUTE);
    expect((await answer(url, RIGHT)).status).toBe(303);
  });

  it('takes a right answer out of the count, also where it was the tenth', async () => {
    const { url } = link();
    await wrong(url, 9);
    for (let i = 0; i < 5; i++) {
      expect((await answer(url, RIGHT)).status).toBe(303);
    }
    expect((await answer(url, 'wrong')).code).toBe('CHALLENGE_FAILED');
    expect((await answer(url, RIGHT)).code).toBe('CHALLENGE_BLOCKED');
  });

  it('asks its function no more than ten times, however many answers come at once', async () => {
    const { url } = link();
    const codes = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => (await answer(url, `wrong ${i}`)).code),
    );
    expect(codes.filter((code) => code === 'CHALLENGE_FAILED')).toHaveLength(10);
    expect(codes.filter((code) => code === 'CHALLENGE_BLOCKED')).toHaveLength(30);
    expect(asked).toHaveLength(10);
  });

  it.each<[string, Challenge]>([
    [
      'throws',
      () => {
        throw new Error('no database');
      },
    ],
    ['answers something else than true', () => ['row'] as unknown as boolean],
    ['answers nothing', () => undefined as unknown as boolean],
  ])('counts an answer as wrong where its function %s', async (_how, own) => {
    const { url } = link();
    challenge = own;
    for (let i = 0; i < 10; i++) {
      expect([403, 500]).toContain((await answer(url, RIGHT)).status);
    }
    expect((await answer(url, RIGHT)).code).toBe('CHALLENGE_BLOCKED');
  });

  it('says nothing of an answer in logs, events, the page or the cookie', async () => {
    const { url, id } = link();
    const said = [await answer(url, `${RIGHT} almost`, CHROME), await answer(url, RIGHT, CHROME)];
    const events = app.events.filter(({ linkId }) => linkId === id);
    expect(events.map((event) => ('code' in event ? event.code : event.type))).toEqual([
      'minted',
      'CHALLENGE_FAILED',
    ]);
    const texts = said.map(({ text, headers }) => text + JSON.stringify(headers));
    const all = [...texts, JSON.stringify(events), logger.text].join('\n');
    expect(all).not.toMatch(/correct|horse|4711/);
  });

  it('keeps its count out of what is told of its use', async () => {
    const one = link();
    await wrong(one.url, 3);
    expect(await app.usage(one)).toEqual({ used: 0, leases: [] });
    await app.fetch(one.url, { headers: { cookie: cookiesOf(await answer(one.url, RIGHT)) } });
    expect(await app.used(one)).toBe(1);
    expect((await app.usage(one)).leases).toHaveLength(1);
  });

  it('does not know who is right where the store does not answer', async () => {
    const one = link();
    const read = store.read.bind(store);
    store.read = (query) =>
      query.records.includes('challenge') ? Promise.reject(new Error('gone')) : read(query);
    const refused = await answer(one.url, RIGHT);
    store.read = read;
    expectRefusal(refused, 503, 'STORE_UNAVAILABLE', one.token);
    expect(asked).toEqual([]);
  });

  it('refuses a form that is too long', async () => {
    const { url } = link();
    expect((await answer(url, 'x'.repeat(200_000))).status).toBe(413);
    expect(asked).toEqual([]);
  });

  it('hears of a client that goes away in the middle of its form, and says nothing in the log', async () => {
    const { url } = link();
    logger.lines.length = 0;
    const head = `POST ${url.replace(app.url, '')} HTTP/1.1\r\nhost: a\r\n`;
    const type = 'content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\n';
    const socket = await connect(app.port, `${head}${type}answer=`);
    socket.resetAndDestroy();
    expect((await answer(url, RIGHT)).status).toBe(303);
    // Nest 11 logs what Express' body parser says of any client that goes away
    expect(logger.lines.filter((line) => !line.includes('request aborted'))).toEqual([]);
  });

  it('is revoked like any other', async () => {
    const one = link();
    await app.links.revoke({ link: one.id });
    expectRefusal(await answer(one.url, RIGHT), 410, 'LINK_REVOKED', one.token);
  });
});
