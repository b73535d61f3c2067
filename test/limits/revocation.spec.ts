import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DownloadAuthConfigurationError } from '../../lib/index.js';
import type { CreateLinkOptions, LeaseOptions, LinkRevocation } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import { accessToken } from '../support/access-token.js';
import { ADAPTERS, bearer } from '../support/test-app.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const BYTES = pattern(200_000);

describe.each(ADAPTERS)('revoking a running download, on %s', (adapter) => {
  let app: LimitedApp;
  let clock: TestClock;
  let held: HeldContent;
  beforeEach(async () => {
    clock = testClock();
    held = new HeldContent(BYTES);
    app = await startLimitedApp(adapter, {
      options: { clock },
      contents: { held: () => held.download(), other: () => held.download() },
    });
  });
  afterEach(() => app.close());

  const ways: [string, (id: string) => LinkRevocation][] = [
    ['link', (id) => ({ link: id })],
    ['resource', () => ({ resource: app.resource('held') })],
    ['subject', () => ({ subject: 'ada' })],
    ['issuedBefore', () => ({ issuedBefore: new Date(clock()) })],
    [
      'resource and issuedBefore',
      () => ({ resource: app.resource('held'), issuedBefore: new Date(clock()) }),
    ],
  ];
  const kinds: [string, object][] = [
    ['limited', { maxDownloads: 1 }],
    ['revocable', { revocable: true }],
    ['any other', {}],
  ];

  it.each(ways.flatMap(([way, of]) => kinds.map(([kind, options]) => [way, kind, of, options] as const)))(
    'by %s breaks the connection of a link that is %s, and refuses its resume with 410',
    async (_way, _kind, of, options) => {
      const link = app.link('held', { subject: 'ada', ...options });
      const running = await app.start(link);
      await running.until(held.half);
      clock.advance(1000);
      await app.links.revoke(of(link.id));
      await running.ended;
      expect([running.broken, running.received]).toEqual([true, held.half]);
      held.release();
      for (const headers of [{ range: `bytes=${held.half}-` }, {}, { cookie: running.cookie ?? '' }]) {
        const answer = await app.fetch(link, { headers });
        expect([answer.status, answer.code]).toEqual([410, 'LINK_REVOKED']);
      }
      expect((await app.fetch(link, { method: 'HEAD' })).status).toBe(410);
    },
  );

  it('leaves running what it does not concern', async () => {
    const link = app.link('held', { subject: 'ada', maxDownloads: 1 });
    const others = [
      app.link('held', { subject: 'ada', maxDownloads: 1 }),
      app.link('other', { subject: 'grace' }),
    ];
    const running = await Promise.all(others.map((other) => app.start(other)));
    const own = await app.start('/files/held', { headers: bearer(accessToken()) });
    await app.links.revoke({ link: link.id });
    await app.links.revoke({ subject: 'nobody' });
    await app.links.revoke({ resource: app.resource('elsewhere') });
    await app.links.revoke({ issuedBefore: new Date(clock() - 1) });
    held.release();
    for (const one of [...running, own]) {
      expect((await one.ended).body.equals(BYTES)).toBe(true);
    }
  });

  it('leaves links good that are issued at the moment or later', async () => {
    held.release();
    const early = app.link('held', { subject: 'ada' });
    clock.advance(1);
    await app.links.revoke({ subject: 'ada', issuedBefore: new Date(clock()) });
    expect((await app.fetch(early)).code).toBe('LINK_REVOKED');
    expect((await app.fetch(app.link('held', { subject: 'ada' }))).status).toBe(200);
  });

  it.each<[string, object, RegExp]>([
    ['nothing', {}, /Revoke one of/],
    ['two targets', { link: 'a', subject: 'ada' }, /Revoke one of/],
    ['a subject that is a number', { subject: 42 }, /subject: give a string/],
    ['a link that is a number', { link: 42 }, /link: give a string/],
    ['a link that is null', { link: null }, /link: give a string/],
    ['a subject that is undefined', { subject: undefined }, /subject is undefined.*leave it out/],
    ['a subject that is undefined, beside a moment', { subject: undefined, issuedBefore: new Date() }, /subject is undefined/],
    ['a resource that is none', { resource: { id: 'a' } }, /resource: give a string.*links\.resource/],
    ['a resource that is a path', { resource: '/files/held' }, /resource: give a string.*links\.resource/],
    ['a subject that is empty', { subject: '' }, /subject: give a string/],
    ['an option that does not exist', { subject: 'ada', issuedBefor: new Date() }, /"issuedBefor".*"issuedBefore"/],
    ['a moment that is a text', { issuedBefore: '2026-01-31' }, /issuedBefore: give a valid Date/],
    ['a moment that is none', { subject: 'ada', issuedBefore: new Date(NaN) }, /issuedBefore: give a valid Date/],
    ['a moment that is null', { subject: 'ada', issuedBefore: null }, /issuedBefore: give a valid Date/],
  ])('refuses %s, and says what to write', async (_name, target, says) => {
    const revoking = async () => app.links.revoke(target);
    await expect(revoking()).rejects.toThrow(DownloadAuthConfigurationError);
    await expect(revoking()).rejects.toThrow(says);
  }); // prettier-ignore

  it('reaches a request whose handler is still at work', async () => {
    const link = app.link('held', { maxDownloads: 1 });
    let goOn = () => {};
    let arrived = () => {};
    const atWork = new Promise<void>((resolve) => (arrived = resolve));
    app.contents.held = async () => {
      arrived();
      await new Promise<void>((resolve) => (goOn = resolve));
      return held.download();
    };
    const asked = app.fetch(link);
    await atWork;
    await app.links.revoke({ link: link.id });
    goOn();
    expect((await asked).code).toBe('LINK_REVOKED');
    expect(await app.used(link)).toBe(0);
  });
});

describe.each(ADAPTERS)('a link that would outlive its revocation, on %s', (adapter) => {
  it.each<[string, LeaseOptions, CreateLinkOptions]>([
    ['by its own life', { maxLinkLife: '1h' }, { expiresIn: '2h' }],
    ['by its resumeWithin', { maxLinkLife: '1h' }, { expiresIn: '30m', resumeWithin: '31m' }],
    ['by the resumeWithin of all', { maxLinkLife: '1h', resumeWithin: '31m' }, { expiresIn: '30m' }],
  ])('is not made: %s', async (_name, leases, options) => {
    const app = await startLimitedApp(adapter, { options: { leases } });
    try {
      expect(() => app.link('file', options)).toThrow(DownloadAuthConfigurationError);
      expect(() => app.link('file', options)).toThrow(/leases\.maxLinkLife/);
      app.link('file', { expiresIn: '29m' });
    } finally {
      await app.close();
    }
  });
});

describe.each(ADAPTERS)('a restart with the memory store, on %s', (adapter) => {
  it('makes no limited link usable again, and none that is revocable', async () => {
    const clock = testClock();
    const held = new HeldContent(BYTES);
    held.release();
    const contents = { file: () => held.download() };
    const before = await startLimitedApp(adapter, { options: { clock }, contents });
    const links = [{ maxDownloads: 2 }, { maxDownloads: 1 }, { revocable: true }, {}].map((options) =>
      before.link('file', options),
    );
    const [used] = links;
    expect((await before.fetch(used!)).status).toBe(200);
    await before.close();

    clock.advance(1);
    const after = await startLimitedApp(adapter, { options: { clock }, contents });
    try {
      const codes = [];
      for (const { url } of links) {
        const answer = await after.fetch(url.replace(before.url, ''));
        codes.push([answer.status, answer.code]);
      }
      expect(codes).toEqual([
        [410, 'LINK_USED_UP'],
        [410, 'LINK_USED_UP'],
        [410, 'LINK_REVOKED'],
        [200, undefined],
      ]);
      expect((await after.fetch(after.link('file', { maxDownloads: 1 }))).status).toBe(200);
    } finally {
      await after.close();
    }
  });
});
