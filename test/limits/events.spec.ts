import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Download, DownloadEvents } from '../../lib/index.js';
import type { DownloadEvent } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import { until } from '../support/until.js';
import { accessToken } from '../support/access-token.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS, bearer } from '../support/test-app.js';
import { expectNoTrace } from '../support/refusal.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const BYTES = pattern(200_000);
const HALF = BYTES.length / 2;

describe.each(ADAPTERS)('events, on %s', (adapter) => {
  let app: LimitedApp;
  let clock: TestClock;
  let held: HeldContent;
  const logger = new MemoryLogger();
  beforeEach(async () => {
    clock = testClock();
    held = new HeldContent(BYTES);
    app = await startLimitedApp(adapter, {
      logger,
      options: { clock },
      contents: { held: () => held.download(), file: () => Download.buffer(BYTES) },
    });
  });
  afterEach(() => app.close());

  const of = <Type extends DownloadEvent['type']>(type: Type) =>
    app.events.filter((event): event is Extract<DownloadEvent, { type: Type }> => event.type === type);
  const types = () => app.events.map(({ type }) => type);
  const wait = (type: DownloadEvent['type'], count = 1) => until(() => of(type).length === count, type);

  it('follow a limited link from its minting to its end, and never contain a token', async () => {
    const link = app.link('held', { subject: 'ada', maxDownloads: 1 });
    const about = { linkId: link.id, subject: 'ada', resource: app.resource('held'), path: '/files/held' };
    const minted = { type: 'minted', at: clock(), ...about, maxDownloads: 1, expiresAt: +link.expiresAt };
    expect(app.events).toEqual([minted]);

    clock.advance(1000);
    const first = await app.start(link);
    await first.until(HALF);
    const answer = { ...about, length: BYTES.length, status: 200 };
    const counted = { used: 1, maxDownloads: 1 };
    expect(app.events.at(-1)).toEqual({ type: 'opened', at: clock(), ...answer, ...counted });

    clock.advance(2000);
    first.leave();
    await wait('aborted');
    expect(app.events.at(-1)).toEqual({
      type: 'aborted',
      at: clock(),
      ...answer,
      bytes: HALF,
      duration: 2000,
      code: undefined,
    });

    held.release();
    const rest = await app.fetch(link, { headers: { range: `bytes=${HALF}-`, cookie: first.cookie } });
    expect(rest.status).toBe(206);
    await wait('completed');
    expect(of('resumed')).toEqual([
      { type: 'resumed', at: clock(), ...answer, ...counted, status: 206, from: HALF },
    ]);
    expect(of('completed')).toEqual([
      { type: 'completed', at: clock(), ...answer, status: 206, bytes: HALF, duration: 0 },
    ]);

    const refused = await app.fetch(link, { headers: { 'user-agent': 'other' } });
    expect(refused.status).toBe(410);
    expect(of('refused')).toEqual([
      {
        type: 'refused',
        at: clock(),
        ...about,
        code: 'LINK_USED_UP',
        status: 410,
        method: 'GET',
        transport: 'query',
        address: '127.0.0.1',
        userAgent: 'other',
      },
    ]);

    await app.links.revoke({ link: link.id });
    expect(of('revoked')).toMatchObject([{ type: 'revoked', at: clock(), linkId: link.id }]);
    expect(types()).toEqual(['minted', 'opened', 'aborted', 'resumed', 'completed', 'refused', 'revoked']);
    const text = JSON.stringify(app.events);
    expectNoTrace(text, link.token);
    expect(text).not.toContain(first.cookie!.split('=')[1]);
    expect(text).not.toContain('ss-tok');
  });

  it('say why a running download was cut', async () => {
    const link = app.link('held', { subject: 'ada' });
    const running = await app.start(link);
    await running.until(HALF);
    clock.advance(500);
    await app.links.revoke({ subject: 'ada' });
    await wait('aborted');
    expect(of('aborted')).toMatchObject([
      { linkId: link.id, code: 'LINK_REVOKED', bytes: HALF, duration: 500 },
    ]);
    expect(of('revoked')).toMatchObject([{ subject: 'ada', issuedBefore: expect.any(Number) }]);
  });

  it('tell of an unlimited link and of a download by access token', async () => {
    const token = accessToken();
    const link = app.link('file', { subject: 'grace' });
    await app.fetch(link);
    await wait('completed');
    await app.fetch('/files/file', { headers: bearer(token) });
    await wait('completed', 2);
    const answer = { path: '/files/file', length: BYTES.length, status: 200 };
    expect(of('opened')).toMatchObject([
      { linkId: link.id, subject: 'grace', ...answer },
      { linkId: undefined, subject: 'ada', resource: undefined, ...answer },
    ]);
    expect(of('completed')).toMatchObject([
      { linkId: link.id, subject: 'grace', ...answer, bytes: BYTES.length },
      { linkId: undefined, subject: 'ada', ...answer, bytes: BYTES.length },
    ]);
    expectNoTrace(JSON.stringify(app.events), token);
  });

  it('tell of an access-token download that was left', async () => {
    const running = await app.start('/files/held', { headers: bearer(accessToken()) });
    await running.until(HALF);
    running.leave();
    await wait('aborted');
    expect(of('aborted')).toMatchObject([{ subject: 'ada', bytes: HALF }]);
  });

  it('report every refusal, with what is known about the client', async () => {
    const foreign = app.link('held', { subject: 'ada' });
    const token = accessToken({ exp: Math.floor(Date.now() / 1000) - 1 });
    const ended = app.link('held', { expiresIn: 10 });
    const later = app.link('held', { notBefore: new Date(clock() + 60_000) });
    const elsewhere = app.link('held', { bindTo: { addresses: '192.0.2.0/24' } });
    const forged = `${foreign.token.slice(0, -8)}AAAAAAAA`;
    clock.advance(20_000);
    await app.fetch('/files/file');
    await app.fetch('/files/file', { headers: bearer(token) });
    await app.fetch(`/files/file?ss-tok=${foreign.token}`);
    await app.fetch(`/files/file?ss-tok=${forged}`, { headers: { 'user-agent': 'guesser' } });
    await app.fetch('/files/file', { headers: { cookie: `ss-tok=${forged}` } });
    await app.fetch('/files/file?ss-tok=a&ss-tok=b', { method: 'HEAD' });
    await app.fetch(ended);
    await app.fetch(later);
    await app.fetch(elsewhere);
    const from = { method: 'GET', address: '127.0.0.1' };
    const file = { ...from, path: '/files/file' };
    const held = { ...from, path: '/files/held', transport: 'query' };
    expect(of('refused')).toMatchObject([
      { code: 'TOKEN_MISSING', status: 401, ...file, transport: undefined },
      { code: 'TOKEN_EXPIRED', status: 401, ...file, transport: 'header' },
      { code: 'LINK_SCOPE', status: 403, ...file, transport: 'query', linkId: foreign.id, subject: 'ada' },
      { code: 'LINK_INVALID', status: 403, ...file, transport: 'query', userAgent: 'guesser' },
      { code: 'LINK_INVALID', status: 403, ...file, transport: 'cookie' },
      { code: 'TOKEN_AMBIGUOUS', status: 400, ...file, method: 'HEAD', transport: undefined },
      { code: 'LINK_EXPIRED', status: 410, ...held, linkId: ended.id },
      { code: 'LINK_NOT_YET_VALID', status: 403, ...held, linkId: later.id },
      { code: 'LINK_ADDRESS', status: 403, ...held, linkId: elsewhere.id },
    ]);
    // who made it up is not to be believed
    for (const event of of('refused').filter(({ code }) => code === 'LINK_INVALID')) {
      expect(event).not.toHaveProperty('linkId');
      expect(event).not.toHaveProperty('subject');
    }
    for (const secret of [token, foreign.token]) {
      expectNoTrace(JSON.stringify(app.events), secret);
    }
  });

  it('harm no download by a subscriber that throws or rejects', async () => {
    const events = app.get(DownloadEvents);
    const heard: string[] = [];
    events.subscribe(() => {
      throw new Error('the metrics are broken');
    });
    events.subscribe(() => Promise.reject(new Error('the audit is broken')) as never);
    events.subscribe(({ type }) => void heard.push(type));
    const link = app.link('file', { maxDownloads: 1 });
    const answer = await app.fetch(link);
    expect([answer.status, answer.broken, answer.body.equals(BYTES)]).toEqual([200, false, true]);
    await wait('completed');
    expect(heard).toEqual(['minted', 'opened', 'completed']);
    expect(await app.used(link)).toBe(1);
    expect(logger.text).toContain('the metrics are broken');
    expect(logger.text).toContain('the audit is broken');
    expectNoTrace(logger.text, link.token);
  });
});
