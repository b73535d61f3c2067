import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';

const BYTES = Buffer.from('for people');

const BOTS = [
  'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
  'Slack-ImgProxy (+https://api.slack.com/robots)',
  'WhatsApp/2.23.20.0 A',
  'WhatsApp',
  'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
  'meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)',
  'TelegramBot (like TwitterBot)',
  'Twitterbot/1.0',
  'Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com',
  'Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)',
  'LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)',
  'Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b',
  'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
  'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)',
  'Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)',
  'Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)',
  'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)',
  'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot',
  'Mastodon/4.3.0 (http.rb/5.2.0; +https://mastodon.social/)',
  'Iframely/1.3.1 (+https://iframely.com/docs/about)',
];

const PEOPLE = [
  undefined,
  '',
  'curl/8.5.0',
  'Wget/1.21.4',
  'Wget/2.2.0',
  'aria2/1.37.0',
  'HTTPie/3.2.2',
  'xh/0.22.0',
  'python-requests/2.32.3',
  'Python-urllib/3.12',
  'python-httpx/0.27.0',
  'Python/3.12 aiohttp/3.9.5',
  'axios/1.7.7',
  'node',
  'undici',
  'node-fetch/1.0 (+https://github.com/bitinn/node-fetch)',
  'got (https://github.com/sindresorhus/got)',
  'okhttp/4.12.0',
  'Go-http-client/2.0',
  'Java/21.0.2',
  'Java-http-client/21.0.2',
  'Apache-HttpClient/5.3 (Java/21)',
  'Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UQ1A)',
  'AndroidDownloadManager/14 (Linux; U; Android 14; Pixel 8 Build/UQ1A)',
  'reqwest/0.12.5',
  'libwww-perl/6.77',
  'PostmanRuntime/7.42.0',
  'insomnia/10.0.0',
  'Microsoft BITS/7.8',
  'Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.2506',
  'FDM/6.24.0',
  'FreeDownloadManager/5.1',
  'Internet Download Manager',
  'JDownloader/2.0',
  'uGet/2.2.3',
  'Axel/2.17.11 (Linux)',
  'lftp/4.9.2',
  'GetRight/6.5',
  'Transmission/4.0.5',
  'VLC/3.0.20 LibVLC/3.0.20',
  'Lavf/60.16.100',
  'mpv 0.37.0',
  'AppleCoreMedia/1.0.0.21F79 (iPhone; U; CPU OS 17_5 like Mac OS X; en_us)',
  'stagefright/1.2 (Linux;Android 14)',
  'Kodi/21.0 (X11; Linux x86_64)',
  'Overcast/3.0 (+http://overcast.fm/; iOS podcast app)',
  'Zotero/7.0',
  'rclone/v1.66.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/480.0;FBBV/1]',
  'Mozilla/5.0 (Linux; Android 11; CUBOT KING KONG 5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36',
];

describe.each(ADAPTERS)('a bot on %s', (adapter) => {
  const apps: LimitedApp[] = [];
  const start = async (options = {}) => {
    const app = await startLimitedApp(adapter, { options, contents: { file: () => Download.buffer(BYTES) } });
    apps.push(app);
    return app;
  };
  let app: LimitedApp;
  beforeAll(async () => {
    app = await start();
  });
  afterAll(() => Promise.all(apps.map((one) => one.close())));

  const as = (userAgent: string | undefined, method = 'GET') => ({
    method,
    headers: userAgent === undefined ? {} : { 'user-agent': userAgent },
  });

  it.each(BOTS)('that names itself does not use up a link: %s', async (userAgent) => {
    const link = app.link('file', { maxDownloads: 1 });
    const answer = await app.fetch(link, as(userAgent));
    expect([answer.status, answer.code, answer.headers['retry-after']]).toEqual([
      403,
      'BOT_REFUSED',
      undefined,
    ]);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(await app.used(link)).toBe(0);
    expect((await app.fetch(link, as('curl/8.5.0'))).status).toBe(200);
  });

  it.each(PEOPLE)('is not what people download with: %s', async (userAgent) => {
    const link = app.link('file', { maxDownloads: 1 });
    expect((await app.fetch(link, as(userAgent))).status).toBe(200);
    expect(await app.used(link)).toBe(1);
  });

  it.each(['', 'prefetched'])('is not a browser that says Sec-Purpose: %s', async (purpose) => {
    const link = app.link('file', { maxDownloads: 1 });
    expect((await app.fetch(link, { headers: { 'sec-purpose': purpose } })).status).toBe(200);
  });

  it('gets an answer to HEAD, and what an unlimited link or an access token opens', async () => {
    const link = app.link('file', { maxDownloads: 1 });
    const head = await app.fetch(link, as(BOTS[0], 'HEAD'));
    expect([head.status, head.headers['content-length']]).toEqual([200, String(BYTES.length)]);
    expect(await app.used(link)).toBe(0);
    expect((await app.fetch(app.link('file'), as(BOTS[0]))).status).toBe(200);
  });

  it('is told why a link is invalid before it is told that it is a bot', async () => {
    const link = app.link('file', { maxDownloads: 1 });
    await app.links.revoke({ link: link.id });
    expect((await app.fetch(link, as(BOTS[0]))).code).toBe('LINK_REVOKED');
  });

  it('is served and counted where the application says so', async () => {
    const any = await start({ leases: { isBot: false } });
    const link = any.link('file', { maxDownloads: 1 });
    expect((await any.fetch(link, as(BOTS[0]))).status).toBe(200);
    expect(await any.used(link)).toBe(1);
  });

  it('is who the application says', async () => {
    const own = await start({ leases: { isBot: (request: any) => request.headers['x-scanner'] === 'yes' } });
    const link = own.link('file', { maxDownloads: 2 });
    const scanned = await own.fetch(link, { headers: { 'x-scanner': 'yes' } });
    expect([scanned.status, scanned.code]).toEqual([403, 'BOT_REFUSED']);
    expect((await own.fetch(link, as(BOTS[0]))).status).toBe(200);
    expect(await own.used(link)).toBe(1);
  });

  it.each([true, 'Slackbot', /bot/, null])('is nothing that %s could describe', async (isBot) => {
    const options = { secret: SECRET, leases: { isBot: isBot as never } };
    await expect(startApp({ adapter, controllers: [], options })).rejects.toThrow(
      /leases\.isBot: write a function/,
    );
  });
});
