import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Download,
  DownloadAuthConfigurationError,
  DownloadEvents,
  MemoryLeaseStore,
} from '../../lib/index.js';
import type { CreateLinkOptions, DownloadLink, LinkMessage, LinkRevocation } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import type { Answer } from '../support/http-client.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp, LimitedAppOptions } from '../support/limited-app.js';
import { FollowModule, messagesIn } from '../support/link-messages.js';
import { ADAPTERS } from '../support/test-app.js';
import { until } from '../support/until.js';

const BYTES = pattern(200_000);
const length = BYTES.length;
const HALF = length / 2;
const PIECE = HALF / 10;

/** Sends its first half piece by piece, as reports to the store take time, and the rest when it is let go. */
class SlowContent {
  release!: () => void;
  private readonly gate = new Promise<void>((resolve) => (this.release = resolve));

  download(): Download {
    const { gate } = this;
    async function* read(from: number, end: number) {
      for (let start = from; start < end; start += PIECE) {
        await (start < HALF ? sleep(3) : gate);
        yield BYTES.subarray(start, Math.min(start + PIECE, end));
      }
    }
    return Download.source({ length, etag: '"slow"', open: ({ start, end }) => read(start, end) });
  }
}

describe.each(ADAPTERS)('following a link, on %s', (adapter) => {
  let here: LimitedApp;
  let there: LimitedApp;
  const store = new MemoryLeaseStore();
  const looks = new Map<string, number>();
  let isAway = (_linkId: string) => false;
  beforeAll(async () => {
    const read = store.read.bind(store);
    store.read = async (query) => {
      looks.set(query.linkId, (looks.get(query.linkId) ?? 0) + 1);
      return isAway(query.linkId) ? Promise.reject(new Error('away')) : read(query);
    };
    const setup: LimitedAppOptions = {
      imports: [FollowModule],
      options: { leases: { store, reportEvery: '1ms' } },
    };
    [here, there] = await Promise.all([startLimitedApp(adapter, setup), startLimitedApp(adapter, setup)]);
  });
  afterAll(() => Promise.all([here?.close(), there?.close()]));

  let links = 0;
  const slowLink = (options: CreateLinkOptions) => {
    const name = `file-${links++}`;
    const content = new SlowContent();
    here.contents[name] = () => content.download();
    return { link: here.link(name, { subject: `owner of ${name}`, ...options }), content, name };
  };
  const follow = (node: LimitedApp, { id }: DownloadLink) => node.start(`${node.url}/links/${id}/events`);
  const heard = (followed: Answer, type: LinkMessage['type'], data: Partial<LinkMessage['data']> = {}) =>
    until(
      () => {
        const found = messagesIn(followed).at(-1);
        return (
          found?.type === type &&
          Object.entries({ ...found.data, ...data }).every(
            ([name, value]) => value === found.data[name as 'bytes'],
          )
        );
      },
      `${type} ${JSON.stringify(data)}`,
    );

  it.concurrent.each<[string, boolean, CreateLinkOptions]>([
    ['a limited link, on the node that sends', true, { maxDownloads: 3 }],
    ['a limited link, on another node', false, { maxDownloads: 3 }],
    ['a link that may be resumed after its expiry, on another node', false, { resumeWithin: '1h' }],
    ['an unlimited link, on the node that sends', true, {}],
  ])('tells how far it is, that it stopped, goes on and is complete: %s', async (_kind, isHere, options) => {
    const { link, content } = slowLink(options);
    const followed = await follow(isHere ? here : there, link);
    await heard(followed, 'waiting', { bytes: 0 });

    const first = await here.start(link);
    await heard(followed, 'progress', { bytes: HALF, length, percent: 50 });
    first.leave();
    await heard(followed, 'aborted', { bytes: HALF });

    const headers = { range: `bytes=${HALF}-`, cookie: first.cookie ?? '' };
    const resumed = here.fetch(link, { headers });
    await heard(followed, 'progress');
    content.release();
    await resumed;
    await heard(followed, 'completed', { bytes: length, length, percent: 100 });

    const ids = messagesIn(followed).map(({ id }) => id);
    expect(ids.at(-1)).not.toBe(ids[1]);
    expect(followed.text).not.toContain(link.token);
    followed.leave();
  });

  it.concurrent('tells who connects later where it is, and follows the next download', async () => {
    const { link, content } = slowLink({ maxDownloads: 2, strict: true });
    const download = await here.start(link);
    const followed = await follow(there, link);
    await heard(followed, 'progress', { bytes: HALF });
    content.release();
    await download.ended;
    const later = await follow(here, link);
    await heard(later, 'completed', { percent: 100 });
    await here.fetch(link);
    const ids = () => new Set(messagesIn(later).map(({ id }) => id)).size;
    await until(() => ids() === 2, 'the second download');
    await heard(later, 'completed', { percent: 100 });
    [followed, later].forEach((one) => one.leave());
  });

  it.concurrent.each<[string, (link: DownloadLink, name: string) => LinkRevocation]>([
    ['by itself', ({ id }) => ({ link: id })],
    ['with its subject', (_link, name) => ({ subject: `owner of ${name}` })],
    ['with its resource', (_link, name) => ({ resource: here.resource(name) })],
  ])('tells on every node that a link was revoked %s', async (_how, target) => {
    const { link, name } = slowLink({ maxDownloads: 1 });
    const followed = await Promise.all([follow(here, link), follow(there, link)]);
    await here.start(link);
    await Promise.all(followed.map((one) => heard(one, 'progress', { bytes: HALF })));
    await there.links.revoke(target(link, name));
    await Promise.all(followed.map((one) => heard(one, 'revoked', { bytes: HALF, code: 'LINK_REVOKED' })));
    followed.forEach((one) => one.leave());
  });

  it.concurrent('tells of refusals, and not whose they are', async () => {
    const { link, name } = slowLink({ maxDownloads: 1 });
    await here.links.revoke({ link: link.id });
    const followed = await follow(here, link);
    await heard(followed, 'revoked', { bytes: 0 });
    await here.fetch(link, { headers: { 'user-agent': 'a browser of Grace' } });
    await heard(followed, 'refused', { code: 'LINK_REVOKED' });
    expect(followed.text).not.toMatch(new RegExp(`Grace|127\\.0\\.0\\.1|${name}|${here.resource(name)}`));
    followed.leave();
  });

  it.concurrent('looks once for all who follow a link, and no more when they have left', async () => {
    const { link } = slowLink({ maxDownloads: 1 });
    const followed = await Promise.all(Array.from({ length: 20 }, () => follow(here, link)));
    await Promise.all(followed.map((one) => heard(one, 'waiting')));
    expect(looks.get(link.id)).toBeLessThan(5);
    followed.forEach((one) => one.leave());
    await Promise.all(followed.map(({ ended }) => ended));
    await sleep(100);
    const before = looks.get(link.id);
    await sleep(1200);
    expect(looks.get(link.id)).toBe(before);
  });

  it.concurrent('goes on when the store answers again', async () => {
    const { link } = slowLink({ maxDownloads: 1 });
    isAway = (linkId) => linkId === link.id;
    const followed = await follow(there, link);
    await until(() => (looks.get(link.id) ?? 0) > 0, 'a look');
    isAway = () => false;
    await heard(followed, 'waiting');
    followed.leave();
  });

  it.concurrent('ends when the application does, before the server waits for its connections', async () => {
    const app = await startLimitedApp(adapter);
    const ends: string[] = [];
    app
      .get(DownloadEvents)
      .of('link')
      .subscribe({ complete: () => ends.push('followed') });
    app.app.getHttpServer().once('close', () => ends.push('server'));
    await app.close();
    expect(ends).toEqual(['followed', 'server']);
  });
});

it.each(['', undefined, 7])('does not follow %o, which is not the id of a link', (id) => {
  expect(() => new DownloadEvents().of(id as string)).toThrow(DownloadAuthConfigurationError);
});
