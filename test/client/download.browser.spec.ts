import type { INestApplication } from '@nestjs/common';
import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, MemoryLeaseStore } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import type { Page } from 'playwright-core';
import { hasChromium, openBrowser } from '../support/browser.js';
import type { TestBrowser } from '../support/browser.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { FollowModule } from '../support/link-messages.js';
import { ADAPTERS } from '../support/test-app.js';
import { clientModule, roundRobin } from './support.js';
import type { RoundRobin } from './support.js';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const PIECE = Buffer.alloc(MIB);

/** What the page has shown, and how it ended. */
interface Shown {
  readonly progress: { bytes: number; percent?: number; running: boolean; needsTap?: boolean }[];
  readonly end?: string;
}

/** A page with the module, which follows a download as an application would. */
const PAGE = `<!doctype html><script type="module">
  import { download, DownloadFailed } from '/client.js';
  window.follow = async (link, options) => {
    window.shown = { progress: [] };
    const controller = new AbortController();
    window.leave = () => controller.abort(new Error('left'));
    const started = download(link, { signal: controller.signal, ...options });
    try {
      for await (const progress of started.progress) shown.progress.push(progress);
      await started.completed;
      shown.end = 'completed';
    } catch (error) {
      shown.end = error instanceof DownloadFailed ? error.code : String(error);
    }
  };
  window.isReady = true;
</script>`;

describe.skipIf(!hasChromium).each(ADAPTERS)('a download that a page starts, on %s', (adapter) => {
  let nodes: LimitedApp[];
  let proxy: RoundRobin;
  let browser: TestBrowser;
  /** Bytes that are sent before the content waits. */
  let gate: number;
  const waiting: (() => void)[] = [];

  beforeAll(async () => {
    const store = new MemoryLeaseStore();
    async function* read(start: number, end: number) {
      for (let from = start; from < end; from += MIB) {
        while (from >= gate) {
          await new Promise<void>((resolve) => waiting.push(resolve));
        }
        yield PIECE.subarray(0, Math.min(MIB, end - from));
      }
    }
    const contents = {
      large: () => Download.source({ length: GIB, etag: '"1"', open: ({ start, end }) => read(start, end) }),
      medium: () =>
        Download.source({ length: 4 * MIB, etag: '"1"', open: ({ start, end }) => read(start, end) }),
      small: () =>
        Download.buffer(Buffer.from('a small file'), { filename: 'Größe.txt', type: 'text/plain' }),
      empty: () => Download.buffer(Buffer.alloc(0)),
      elsewhere: () => Download.redirect('/files/small'),
    };
    const module = Buffer.from(await clientModule()).toString();
    const servePage = (request: any, response: any, next: () => void) => {
      const files: Record<string, [string, string]> = {
        '/page.html': ['text/html', PAGE],
        '/client.js': ['text/javascript', module],
      };
      const [type, body] = files[request.originalUrl ?? request.url] ?? [];
      if (!type) {
        return next();
      }
      response.setHeader('Content-Type', type);
      response.end(body);
    };
    const setup = {
      imports: [FollowModule],
      contents,
      options: { leases: { store } },
      configure: (nest: INestApplication) => {
        nest.enableCors();
        nest.use(servePage);
      },
    };
    nodes = await Promise.all([startLimitedApp(adapter, setup), startLimitedApp(adapter, setup)]);
    proxy = await roundRobin(...nodes.map(({ port }) => port));
    browser = await openBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await proxy?.close();
    await Promise.all(nodes.map((node) => node.close()));
  });

  const letGo = (bytes: number) => {
    gate = bytes;
    waiting.splice(0).forEach((goOn) => goOn());
  };
  const openPage = async (before?: () => void): Promise<Page> => {
    const page = await browser.context.newPage();
    if (before) {
      await page.addInitScript(before);
    }
    await page.goto(`${proxy.url}/page.html`);
    await page.waitForFunction('isReady');
    return page;
  };
  const link = (name: string, options = {}): DownloadLink => {
    const { url, ...rest } = nodes[0]!.link(name, { maxDownloads: 2, ...options });
    return { ...rest, url: url.replace(nodes[0]!.url, proxy.url) };
  };
  const follow = (page: Page, to: DownloadLink) =>
    page.evaluate(([given, events]) => void (globalThis as any).follow(given, { events }), [
      to,
      `${proxy.url}/links/${to.id}/events`,
    ] as const);
  const shown = (page: Page) => page.evaluate(() => (globalThis as any).shown as Shown);
  const shows = (page: Page, percent: number) =>
    page.waitForFunction(
      (wanted) => (globalThis as any).shown.progress.some((one: any) => one.percent >= wanted && one.running),
      percent,
    );
  const ended = async (page: Page) => {
    await page.waitForFunction('shown.end');
    return shown(page);
  };
  const heap = async (page: Page) => {
    const session = await page.context().newCDPSession(page);
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    return usedSize;
  };

  it('saves 1 GiB by navigation, shows how far it is on another node, and that it is complete', async () => {
    const page = await openPage();
    const to = link('large');
    letGo(GIB / 4);
    const saving = page.waitForEvent('download');
    // One request more in between, so that the download comes from another node than the events
    await page.evaluate(
      async ([given, url]) => {
        const events = async (signal: AbortSignal) => {
          const answer = await fetch(url, { signal });
          await fetch('/elsewhere');
          return answer;
        };
        void (globalThis as any).follow(given, { events });
      },
      [to, `${proxy.url}/links/${to.id}/events`] as const,
    );
    await shows(page, 20);
    letGo(GIB / 2);
    await shows(page, 45);
    letGo(Infinity);
    const { progress, end } = await ended(page);
    expect(end).toBe('completed');
    const percents = progress.map(({ percent }) => percent!);
    expect(percents).toEqual(percents.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toEqual({ bytes: GIB, length: GIB, percent: 100, running: false });
    expect(await heap(page)).toBeLessThan(30 * MIB);
    const saved = await saving;
    expect(statSync(await saved.path()).size).toBe(GIB);
    await saved.delete();
    const node = (request: string) => proxy.asked.findIndex((asked) => asked.includes(request));
    expect(node(`GET /links/${to.id}/events`)).not.toBe(node('GET /files/large'));
    expect(page.url()).toBe(`${proxy.url}/page.html`);
    await page.close();
  }, 60_000);

  it('says so when its link is revoked half way', async () => {
    const page = await openPage();
    const to = link('large');
    letGo(GIB / 8);
    await follow(page, to);
    await shows(page, 10);
    await nodes[1]!.links.revoke({ link: to.id });
    expect((await ended(page)).end).toBe('LINK_REVOKED');
    await page.close();
  });

  it.each<[string, string, string, (to: DownloadLink) => DownloadLink]>([
    ['a link that was revoked', 'LINK_REVOKED', 'small', (to) => to],
    ['a link to what is not there', '404', 'missing', (to) => to],
    ['no link', 'LINK_INVALID', 'small', (to) => ({ ...to, url: `${to.url}x` })],
    ['a host that is not there', 'UNREACHABLE', 'small', (to) => ({ ...to, url: 'http://127.0.0.1:9/' })],
  ])('fails with the reason, and stays on the page: %s', async (_what, code, name, change) => {
    const page = await openPage();
    const to = link(name);
    if (code === 'LINK_REVOKED') {
      await nodes[0]!.links.revoke({ link: to.id });
    }
    await follow(page, change(to));
    expect(await ended(page)).toEqual({ progress: [], end: code });
    expect(page.url()).toBe(`${proxy.url}/page.html`);
    await page.close();
  });

  it.each(['small', 'empty', 'elsewhere'])('ends: %s', async (name) => {
    const page = await openPage();
    const to = link(name, name === 'elsewhere' ? { maxDownloads: undefined } : {});
    await follow(page, to);
    expect((await ended(page)).end).toBe('completed');
    await page.close();
  });

  it('is not confused by what happened to the link before', async () => {
    const page = await openPage();
    const to = link('small', { maxDownloads: 5 });
    for (let download = 0; download < 3; download++) {
      const saving = page.waitForEvent('download');
      await follow(page, to);
      const { progress, end } = await ended(page);
      expect([progress.at(-1)?.percent, end]).toEqual([100, 'completed']);
      await (await saving).delete();
    }
    await page.close();
  });

  it.each([
    ['where the browser has the file in its cache, so that the server may hear of nothing', '127.0.0.1'],
    ['where a page cannot know that: on another origin', 'localhost'],
  ])('completes at once %s', async (_where, host) => {
    const page = await openPage();
    const to = link('small', { maxDownloads: undefined, reuseWithin: '10m', subject: host });
    const url = to.url.replace('127.0.0.1', host);
    await page.evaluate((cached) => fetch(cached).then((answer) => answer.text()), url);
    const saving = page.waitForEvent('download');
    await follow(page, { ...to, url });
    expect(await ended(page)).toEqual({ progress: [], end: 'completed' });
    expect(statSync(await (await saving).path()).size).toBe('a small file'.length);
    await page.close();
  });

  /** Follows a download by events that a page makes of those of the server. */
  const followBy = (page: Page, to: DownloadLink, events: string) =>
    page.evaluate(
      `{
        const answer = (body, type = 'text/event-stream') => new Response(body, { headers: { 'Content-Type': type } });
        const ask = (signal) => fetch('${proxy.url}/links/${to.id}/events', { signal });
        void follow(${JSON.stringify(to)}, { events: ${events} });
      }`,
    );

  it.each([
    ['another answer', 'EVENTS_200', "async () => answer('<!doctype html>', 'text/html')"],
    ['an answer without a type', 'EVENTS_200', 'async () => new Response(new Uint8Array())'],
    ['a refusal', 'EVENTS_403', 'async () => new Response(null, { status: 403 })'],
    ['nothing', 'UNREACHABLE', "async () => { throw new TypeError('Failed to fetch'); }"],
  ])('fails before it starts where it gets %s in place of events', async (_what, code, events) => {
    const page = await openPage();
    await followBy(page, link('small'), events);
    expect(await ended(page)).toEqual({ progress: [], end: code });
    await page.close();
  });

  it('starts, and says that nothing is heard of it, where a proxy holds the events back', async () => {
    const page = await openPage();
    await page.clock.install();
    const saving = page.waitForEvent('download');
    await followBy(page, link('small'), 'async () => answer(new ReadableStream())');
    await page.clock.fastForward(5000);
    expect(await ended(page)).toEqual({ progress: [], end: 'EVENTS_SILENT' });
    await (await saving).delete();
    await page.close();
  });

  it('passes over what is no message of its link', async () => {
    const page = await openPage();
    const strange = [
      ': ping',
      'data: x',
      'data: null',
      'data: 7',
      'event: completed',
      'data: {"bytes":"all"}',
      'data:',
    ];
    await followBy(
      page,
      link('small'),
      `async (signal) => {
        const strange = new TextEncoder().encode(${JSON.stringify(
          strange
            .map(
              (one) => `${one}

`,
            )
            .join(''),
        )});
        const mixed = new TransformStream({
          transform: (chunk, to) => [strange, chunk, strange].forEach((one) => to.enqueue(one)),
        });
        return answer((await ask(signal)).body.pipeThrough(mixed));
      }`,
    );
    const { progress, end } = await ended(page);
    expect([progress.at(-1)?.percent, end]).toEqual([100, 'completed']);
    await page.close();
  });

  it('goes on when the events broke off, were answered by a proxy, and came from another node', async () => {
    const page = await openPage();
    await page.clock.install();
    const to = link('medium');
    letGo(MIB);
    await followBy(
      page,
      to,
      `async (signal) => {
        window.asked = (window.asked ?? 0) + 1;
        if (asked === 2) {
          return new Response('Bad Gateway', { status: 502 });
        }
        const { body } = await ask(signal);
        return asked === 1 ? answer(body.pipeThrough(new TransformStream({
          transform: (chunk, to) => window.isBroken ? to.error(new TypeError('network error')) : to.enqueue(chunk),
        }))) : answer(body);
      }`,
    );
    await shows(page, 25);
    await page.evaluate('window.isBroken = true');
    letGo(2 * MIB);
    for (const asked of [2, 3]) {
      await page.clock.fastForward(2000);
      await page.waitForFunction((times) => (globalThis as any).asked === times, asked);
    }
    letGo(Infinity);
    const { progress, end } = await ended(page);
    expect([progress.at(-1)?.percent, end]).toEqual([100, 'completed']);
    await page.close();
  });

  it('is followed by two tabs that start it at the same time', async () => {
    const pages = [await openPage(), await openPage()];
    const to = link('medium', { maxDownloads: 1 });
    letGo(MIB);
    for (const page of pages) {
      await follow(page, to);
      await shows(page, 25);
    }
    letGo(Infinity);
    for (const page of pages) {
      expect((await ended(page)).end).toBe('completed');
      await page.close();
    }
    expect(await nodes[0]!.used(to)).toBe(1);
  });

  it('goes on where the page is left, which can follow another one when it is back', async () => {
    const page = await openPage();
    letGo(MIB);
    const saving = page.waitForEvent('download');
    await follow(page, link('medium'));
    await shows(page, 25);
    await page.goto('about:blank');
    letGo(Infinity);
    expect(statSync(await (await saving).path()).size).toBe(4 * MIB);
    await page.goBack();
    await page.waitForFunction('isReady');
    await follow(page, link('small'));
    expect((await ended(page)).end).toBe('completed');
    await page.close();
  });

  it('stops following when the page says so, and leaves the download alone', async () => {
    const page = await openPage();
    const to = link('large');
    letGo(GIB / 8);
    await follow(page, to);
    await shows(page, 5);
    await page.evaluate(() => (globalThis as any).leave());
    expect((await ended(page)).end).toBe('Error: left');
    expect(
      nodes.some(({ events }) => events.some(({ linkId, type }) => linkId === to.id && type === 'aborted')),
    ).toBe(false);
    await nodes[0]!.links.revoke({ link: to.id });
    await page.close();
  });

  it.each([true, false])(
    'shares the file in an installed iOS application, when the tap is fresh: %s',
    async (isFresh) => {
      const page = await openPage(() => {
        const shares = ((globalThis as any).shares = [] as unknown[]);
        const { navigator } = globalThis as any;
        navigator.standalone = true;
        navigator.share = async ({ files }: { files: File[] }) => {
          const [file] = files;
          shares.push([file!.name, file!.type, await file!.text()]);
          if ((globalThis as any).isStale && shares.length === 1) {
            throw new DOMException('Must be handling a user gesture', 'NotAllowedError');
          }
        };
      });
      await page.evaluate((isStale) => ((globalThis as any).isStale = isStale), !isFresh);
      await follow(page, link('small'));
      if (!isFresh) {
        await page.waitForFunction('shown.progress.at(-1)?.needsTap');
        await page.mouse.click(10, 10);
      }
      expect((await ended(page)).end).toBe('completed');
      const file = ['Größe.txt', 'text/plain', 'a small file'];
      expect(await page.evaluate('shares')).toEqual(isFresh ? [file] : [file, file]);
      await page.close();
    },
  );
});
