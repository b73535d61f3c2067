import { Controller, Get, Param, Post } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DownloadRefusal, StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions, RefusalCode } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';
import type { Answer } from '../support/http-client.js';

const CHROME = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';
const FIREFOX = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const EVIL = `<script>alert("1")</script><img src=x onerror='alert(2)'>&amp;`;

@Controller('files')
class FilesController {
  @Get('evil')
  @StreamDownload()
  evil(): never {
    throw new DownloadRefusal('ACCESS_DENIED', { message: EVIL });
  }

  @Get('refused/:code')
  @StreamDownload()
  refused(@Param('code') code: RefusalCode): never {
    throw new DownloadRefusal(code);
  }

  @Post('42')
  @StreamDownload()
  post(): string {
    return 'the file';
  }

  @Get('42')
  @StreamDownload()
  get(): string {
    return 'the file';
  }
}

/** Status, challenge and `Retry-After` of every code; a code that is missing here does not compile. */
const CODES: Record<RefusalCode, [number, string?, string?]> = {
  TOKEN_MISSING: [401, 'Bearer'],
  TOKEN_INVALID: [401, 'invalid_token'],
  TOKEN_EXPIRED: [401, 'invalid_token'],
  TOKEN_NOT_YET_VALID: [401, 'invalid_token'],
  TOKEN_CUT_OFF: [401, 'invalid_token'],
  TOKEN_AMBIGUOUS: [400, 'invalid_request'],
  ACCESS_DENIED: [403],
  INSECURE_CONNECTION: [403],
  LINK_MISSING: [403],
  LINK_INVALID: [403],
  LINK_SCOPE: [403],
  LINK_SUBJECT: [403],
  LINK_ADDRESS: [403],
  LINK_NOT_YET_VALID: [403, undefined, '60'],
  LINK_EXPIRED: [410],
  LINK_REVOKED: [410],
  LINK_USED_UP: [410],
  LINK_UNCONFIRMED: [403],
  CHALLENGE_UNANSWERED: [403],
  CHALLENGE_FAILED: [403],
  CHALLENGE_BLOCKED: [429, undefined, '900'],
  LINK_BUSY: [503, undefined, '5'],
  PREFETCH_REFUSED: [503, undefined, '1'],
  BOT_REFUSED: [403],
  KEY_UNAVAILABLE: [503, undefined, '5'],
  STORE_UNAVAILABLE: [503, undefined, '5'],
};
const EVERY_CODE = Object.keys(CODES) as RefusalCode[];

let app: TestApp;
const logger = new MemoryLogger();

async function start(adapter: AdapterName, options: Partial<DownloadAuthOptions> = {}): Promise<void> {
  const controllers = [FilesController];
  app = await startApp({ adapter, controllers, options: { secret: SECRET, ...options }, logger });
}

function ask(headers: Record<string, string>, path = '/files/42', method = 'GET'): Promise<Answer> {
  return app.request(path, { headers, method });
}

describe.each(ADAPTERS)('a refused request on %s is answered with', (adapter) => {
  beforeAll(() => start(adapter));
  afterAll(() => app.close());

  it.each<[string, Record<string, string>]>([
    [
      'a navigation of Chrome',
      { accept: CHROME, 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
    ],
    ['a navigation of Firefox', { accept: FIREFOX, 'sec-fetch-mode': 'navigate' }],
    ['one that a service worker passes on', { accept: FIREFOX, 'sec-fetch-mode': 'same-origin' }],
    ['a browser without fetch metadata', { accept: FIREFOX }],
    ['whoever prefers HTML', { accept: 'application/json;q=0.5, text/html' }],
    ['whoever takes HTML and nothing else', { accept: 'text/html' }],
    ['whoever takes any text', { accept: 'text/*' }],
    ['HTML in capitals', { accept: 'TEXT/HTML' }],
  ])('a page for %s', async (_name, headers) => {
    const answer = await ask(headers);
    expect(answer.status).toBe(401);
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'www-authenticate': 'Bearer',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    expect(answer.headers['content-security-policy']).toMatch(/default-src 'none'.*sandbox/);
    expect(answer.headers).not.toHaveProperty('location');
    expect(answer.text).toContain(new DownloadRefusal('TOKEN_MISSING').message);
    expect(answer.text).toContain('401 Unauthorized · TOKEN_MISSING');
    expect(answer.text).not.toMatch(/<script|<a |<form|<img|http-equiv/i);
  });

  it.each<[string, Record<string, string>]>([
    ['curl', { accept: '*/*' }],
    ['nobody in particular', {}],
    ['an empty Accept', { accept: '' }],
    ['fetch', { accept: '*/*', 'sec-fetch-mode': 'cors' }],
    ['fetch that would take HTML', { accept: CHROME, 'sec-fetch-mode': 'cors' }],
    ['fetch from a page of the same origin', { accept: '*/*', 'sec-fetch-mode': 'same-origin' }],
    ['an image of a page', { accept: 'image/avif,image/webp,*/*;q=0.8', 'sec-fetch-mode': 'no-cors' }],
    ['Angular', { accept: 'application/json, text/plain, */*' }],
    ['whoever likes both alike', { accept: 'application/json, text/html' }],
    ['whoever prefers JSON', { accept: 'text/html;q=0.8, application/json;q=0.9' }],
    ['whoever refuses HTML', { accept: 'text/html;q=0, */*' }],
    ['whoever takes neither', { accept: 'image/png' }],
    ['a malformed Accept', { accept: ';;;,q=,/,text' }],
    ['a long Accept', { accept: 'a/b;q=0.1,'.repeat(1000) }],
  ])('JSON for %s', async (_name, headers) => {
    expectRefusal(await ask(headers), 401, 'TOKEN_MISSING');
  });

  it('nothing but headers for a HEAD', async () => {
    const answer = await ask({ accept: CHROME }, '/files/42', 'HEAD');
    expect([answer.status, answer.text]).toEqual([401, '']);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  it.each(EVERY_CODE)('a page for %s that says what happened and what to do now', async (code) => {
    const headers = { accept: CHROME, authorization: `Bearer ${accessToken()}` };
    const answer = await ask(headers, `/files/refused/${code}`);
    const { message, advice } = new DownloadRefusal(code);
    expect(answer.status).toBe(CODES[code][0]);
    const text = answer.text.replaceAll('&#34;', '"').replaceAll('&#39;', "'");
    expect(text).toContain(`<h1>${message}</h1>`);
    expect(text).toContain(`<p>${advice}</p>`);
  });

  it('the page shows a message of the application as text', async () => {
    const answer = await ask({ accept: CHROME, authorization: `Bearer ${accessToken()}` }, '/files/evil');
    expect(answer.status).toBe(403);
    expect(answer.text).not.toMatch(/<script|<img|onerror='/);
    expect(answer.text).toContain('&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;');
    expect(answer.text).toContain('&#38;amp;');
  });

  it('the page shows nothing of the request', async () => {
    const answer = await ask(
      { accept: CHROME, 'user-agent': EVIL, referer: EVIL, cookie: `ss-tok=${encodeURIComponent(EVIL)}` },
      `/files/42?x=${encodeURIComponent(EVIL)}`,
    );
    expect(answer.status).toBe(401);
    expect(answer.text).not.toMatch(/alert|onerror/);
  });
});

describe.each(ADAPTERS)('the page of a refusal on %s is replaced', (adapter) => {
  afterEach(() => app.close());

  it('by a page of the application', async () => {
    await start(adapter, { refusalPage: (refusal) => `<h1>${refusal.code} ${refusal.getStatus()}</h1>` });
    const answer = await ask({ accept: CHROME });
    expect(answer.text).toBe('<h1>TOKEN_MISSING 401</h1>');
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expectRefusal(await ask({ accept: '*/*' }), 401, 'TOKEN_MISSING');
  });

  it('by JSON for one code and a page for the others', async () => {
    await start(adapter, {
      refusalPage: ({ code }) => (code === 'TOKEN_MISSING' ? undefined : `<h1>${code}</h1>`),
    });
    expectRefusal(await ask({ accept: CHROME }), 401, 'TOKEN_MISSING');
    expect((await ask({ accept: CHROME, authorization: 'Bearer x' })).text).toBe('<h1>TOKEN_INVALID</h1>');
  });

  it('by JSON always', async () => {
    await start(adapter, { refusalPage: false });
    expectRefusal(await ask({ accept: CHROME, 'sec-fetch-mode': 'navigate' }), 401, 'TOKEN_MISSING');
  });

  it('by an empty page', async () => {
    await start(adapter, { refusalPage: () => '' });
    const answer = await ask({ accept: CHROME });
    expect([answer.status, answer.text]).toEqual([401, '']);
    expect(answer.headers['content-type']).toMatch(/^text\/html/);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['breaks', () => { throw new Error('template is missing'); }, /template is missing/],
    ['is a promise', () => Promise.resolve('<h1>later</h1>'), /return the answer itself, not a promise/],
    ['is a promise that is broken', () => Promise.reject(new Error('too late')), /return the answer itself, not a promise/],
    ['is not a text', () => 401, /return a string/],
  ])('by JSON where the page of the application %s', async (_name, page, says) => {
    logger.lines.length = 0;
    await start(adapter, { refusalPage: page as () => string });
    expectRefusal(await ask({ accept: CHROME }), 401, 'TOKEN_MISSING');
    expect(logger.text).toMatch(says);
    expectRefusal(await ask({ accept: '*/*' }), 401, 'TOKEN_MISSING');
  }); // prettier-ignore
});

describe('DownloadRefusal', () => {
  it.each(EVERY_CODE)('%s has its status and header fields', (code) => {
    const [status, challenge, retryAfter] = CODES[code];
    const refusal = new DownloadRefusal(code);
    expect(refusal.getStatus()).toBe(status);
    expect(refusal.getResponse()).toMatchObject({ statusCode: status, code, message: refusal.message });
    expect(refusal.headers['Cache-Control']).toBe('no-store');
    if (challenge === undefined) {
      expect(refusal.headers).not.toHaveProperty('WWW-Authenticate');
    } else {
      expect(refusal.headers['WWW-Authenticate']).toContain(challenge);
    }
    expect(refusal.headers['Retry-After']).toBe(retryAfter);
  });

  it('has a sentence and an advice of its own for every code', () => {
    const refusals = EVERY_CODE.map((code) => new DownloadRefusal(code));
    expect(new Set(refusals.map(({ message }) => message)).size).toBe(EVERY_CODE.length);
    const advice = refusals.map((refusal) => refusal.advice);
    expect(advice.filter((text, index) => advice.indexOf(text) !== index)).toEqual([]);
  });

  it('waits whole seconds, at least one', () => {
    const wait = (retryAfter: number) =>
      new DownloadRefusal('LINK_NOT_YET_VALID', { retryAfter }).headers['Retry-After'];
    expect([wait(0), wait(-5), wait(0.2), wait(1.2)]).toEqual(['1', '1', '1', '2']);
  });

  it('keeps a message of the application out of the syntax of the header', () => {
    const { headers } = new DownloadRefusal('TOKEN_INVALID', {
      message: 'say "no"\\\r\nSet-Cookie: a=b é ключ',
    });
    expect(headers['WWW-Authenticate']).toMatch(
      /^Bearer error="invalid_token", error_description="[\x20\x21\x23-\x5b\x5d-\x7e]+"$/,
    );
  });

  it('keeps its cause to itself', () => {
    const refusal = new DownloadRefusal('KEY_UNAVAILABLE', { cause: new Error('secret place') });
    expect(JSON.stringify(refusal.getResponse())).not.toContain('secret place');
    expect(refusal.cause).toBeInstanceOf(Error);
  });
});
