import { Generator } from '@angular/service-worker/config';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { DownloadLink } from '../../lib/index.js';
import { BROWSERS } from '../support/browser.js';
import type { Tab, TabbedBrowser } from '../support/browser.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { FollowModule } from '../support/link-messages.js';
import { ADAPTERS } from '../support/test-app.js';
import { until } from '../support/until.js';
import { clientModule } from './support.js';

const INDEX = '<!doctype html><title>application</title>';
const WORKER = createRequire(import.meta.url).resolve('@angular/service-worker/ngsw-worker.js');

/** What `ng build` writes for the worker of `ng add @angular/pwa`. */
function ngswJson(): Promise<object> {
  const files = {
    list: async () => ['/index.html'],
    hash: async () => createHash('sha1').update(INDEX).digest('hex'),
    read: async () => INDEX,
    write: async () => {},
  };
  return new Generator(files, '/').process({
    index: '/index.html',
    assetGroups: [{ name: 'app', installMode: 'prefetch', resources: { files: ['/index.html'] } }],
  });
}

const buffer = (disposition: 'attachment' | 'inline') => () =>
  Download.buffer(Buffer.from('<title>the file</title>'), { type: 'text/html', disposition });

// The worker is the same for both adapters
const SETUPS = BROWSERS.map(([name, open], index) => [name, ADAPTERS[index]!, open] as const);

describe.each(SETUPS)("in %s, on %s, with Angular's service worker,", (_browser, adapter, open) => {
  let browser: TabbedBrowser;
  let app: LimitedApp;
  let tab: Tab;
  let requests: { url: string; destination?: string }[];
  beforeAll(async () => {
    browser = await open();
    const files: Record<string, [type: string, body: string]> = {
      '/': ['text/html', INDEX],
      '/index.html': ['text/html', INDEX],
      '/client.js': ['text/javascript', Buffer.from(await clientModule()).toString()],
      '/ngsw-worker.js': ['text/javascript', await readFile(WORKER, 'utf8')],
      '/ngsw.json': ['application/json', JSON.stringify(await ngswJson())],
    };
    app = await startLimitedApp(adapter, {
      imports: [FollowModule],
      options: { links: { ngswBypass: true } },
      contents: { 42: buffer('attachment'), 43: buffer('inline'), 'file.html': buffer('attachment') },
      configure: (nest) => {
        nest.use(({ originalUrl, url = originalUrl, headers }: any, response: any, next: () => void) => {
          requests.push({ url, destination: headers['sec-fetch-dest'] });
          const [type, body] = files[url.split('?', 1)[0]] ?? [];
          if (!type) {
            return next();
          }
          response.setHeader('Content-Type', type);
          response.end(body);
        });
      },
    });
    requests = [];
    await show(app.url);
    const state = await tab.evaluate(`new Promise((resolve) => {
        navigator.serviceWorker.addEventListener('controllerchange', resolve);
        void navigator.serviceWorker.register('/ngsw-worker.js');
      }).then(() => fetch('/ngsw/state')).then((answer) => answer.text())`);
    expect(state).toContain('Driver state: NORMAL');
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await app?.close();
  });

  const show = async (url: string) => {
    tab = await browser.newTab();
    await tab.goto(url, { waitUntil: 'load' });
  };
  /** As a link is without `ngswBypass`. */
  const plain = (link: DownloadLink) => ({ ...link, url: link.url.replace('ngsw-bypass=true&', '') });
  const sent = ({ id }: DownloadLink) =>
    until(() => app.events.some(({ type, linkId }) => type === 'completed' && linkId === id), 'the file');
  const title = () => tab.evaluate('document.title');
  const add = (element: string, members: object) =>
    tab.evaluate(`{
        const element = document.createElement('${element}');
        Object.assign(element, ${JSON.stringify(members)});
        document.body.append(element);
        element.click();
      }`);

  it.each<[string, (link: DownloadLink) => Promise<unknown>, destinations: string[]]>([
    ['<a>', ({ url }) => add('a', { href: url }), ['document']],
    ['<a download>', ({ url }) => add('a', { href: url, download: '' }), ['document', 'empty']],
    ['location.assign', ({ url }) => tab.evaluate(`location.assign('${url}')`), ['document']],
    ['<iframe>', ({ url: src }) => add('iframe', { src }), ['iframe']],
  ])('the browser itself asks for the file: %s', async (_way, start, destinations) => {
    const link = app.link('42');
    await start(link);
    await sent(link);
    // The worker asks for its own files at any time
    const request = requests.findLast(({ url }) => url.includes(link.token));
    expect(destinations).toContain(request!.destination);
    expect(await title()).toBe('application');
  });

  it('the module for pages gets past the worker by itself', async () => {
    const link = plain(app.link('42'));
    const outcome = await tab.evaluate(`import('/client.js').then(({ download }) =>
        download(${JSON.stringify(link)}, { events: '/links/${link.id}/events' }).completed
      ).then(() => 'completed', String)`);
    expect(outcome).toBe('completed');
  });

  it('a collection stays past the worker where it leads to a URL without a token', async () => {
    const { url } = app.link('43', { free: ['name'], exchange: 'redirect' });
    await show(url);
    const clean = await tab.evaluate('location.href');
    expect(clean).toBe(`${app.url}/files/43?ngsw-bypass=true`);
    await show(clean as string);
    expect(await title()).toBe('the file');
  });

  it('a link that the worker passes on asks for its confirmation', async () => {
    const link = plain(app.link('file.html', { confirm: true, maxDownloads: 1 }));
    await show(link.url);
    expect(await title()).toBe('Your download is ready');
    await tab.evaluate("document.querySelector('button').click()");
    await sent(link);
  });

  it('a link that the worker passes on says in words why it is refused', async () => {
    const link = plain(app.link('file.html'));
    await app.links.revoke({ link: link.id });
    await show(link.url);
    expect(await title()).toBe('This download link has been revoked.');
  });
});
