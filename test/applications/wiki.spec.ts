import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthModule, DownloadLinks } from '../../lib/index.js';
import { COUNTS_DESCRIPTORS, openDescriptors, pattern, temporaryFolder } from '../support/files.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { start } from '../support/http-client.js';
import { badLinks, letIn } from './support/attacks.js';
import { MORE_THAN_SOCKETS_HOLD, RIGHTS, wrongs } from './support/delivery.js';
import { cookieOf, post, statusOf } from './support/requests.js';
import { WikiModule as WikiByHand } from './wiki/by-hand/wiki.module.js';
import { WikiModule } from './wiki/wiki.module.js';

const TABLE = pattern(MORE_THAN_SOCKETS_HOLD);
/** The line break in the name that its author gave it cannot be saved. */
const NAME = 'Gehälter "2026"__(final).pdf';
const MAP = '/pages/welcome/attachments/map';
const SALARIES = '/pages/salaries/attachments/table';
const LOST = '/pages/salaries/attachments/lost';

const folder = temporaryFolder();
folder.file('a1', 'a map');
folder.file('a2', TABLE);
afterAll(() => folder.remove());

type Cookie = { cookie: string };

async function signIn(app: TestApp, name: string, password: string): Promise<Cookie> {
  return cookieOf(await post(app, '/session', { name, password }));
}

async function share(app: TestApp, path: string, session: Cookie): Promise<{ url: string; token: string }> {
  const answer = await post(app, `${path}/links`, {}, session);
  expect(answer.status).toBe(201);
  return answer.json;
}

describe.each(ADAPTERS)('a wiki with sessions and anonymous visitors on %s', (adapter) => {
  let app: TestApp;
  let ada: Cookie;
  let grace: Cookie;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [], imports: [WikiModule.at(folder.path)] });
    ada = await signIn(app, 'ada', 'analytical');
    grace = await signIn(app, 'grace', 'compiler');
  });
  afterAll(() => app.close());

  it.each(RIGHTS)('%s', (_right, check) =>
    check({
      app,
      path: SALARIES,
      headers: ada,
      bytes: TABLE,
      name: NAME,
      lost: LOST,
      folder: folder.path,
    }),
  );

  it('pages decide who may read what is attached, anonymous visitors among them', async () => {
    const statuses = (path: string) =>
      Promise.all([{}, grace, ada].map((headers) => statusOf(app, path, headers)));
    expect(await statuses(MAP)).toEqual([200, 200, 200]);
    expect(await statuses(SALARIES)).toEqual([401, 403, 200]);
  });

  it('a link opens for whoever has it, signed in as another or not at all', async () => {
    const { url } = await share(app, SALARIES, ada);
    expect(await statusOf(app, url)).toBe(200);
    expect(await statusOf(app, url, grace)).toBe(200);
  });

  it('no bad link gets the file, nor does a good one when the page is asked for links', async () => {
    const { token } = await share(app, SALARIES, ada);
    const { token: other } = await share(app, MAP, grace);
    expect(await letIn(app, badLinks(SALARIES, token, other))).toEqual([]);
    for (const [path, headers] of [
      [`${SALARIES}/links?ss-tok=${token}`, {}],
      [`${SALARIES}/links`, { authorization: `Bearer ${token}` }],
      [`${SALARIES}/links`, { cookie: `sid=${token}` }],
    ] as const) {
      expect((await post(app, path, {}, headers)).status).toBe(401);
    }
  });

  it('a bad link is refused on a public page, too, and to those who are signed in', async () => {
    const { token } = await share(app, SALARIES, ada);
    expect(await statusOf(app, `${MAP}?ss-tok=${token}`, ada)).toBe(403);
  });

  it('a worker without controllers makes links that open', async () => {
    const worker = await NestFactory.createApplicationContext(DigestWorkerModule, { logger: false });
    const { url } = worker
      .get(DownloadLinks)
      .create('attachment', { params: { page: 'salaries', id: 'table' } });
    expect(await statusOf(app, url)).toBe(200);
    await worker.close();
  });
});

/** A process of its own, without HTTP. */
@Module({
  imports: [
    DownloadAuthModule.forRoot({
      auth: 'links',
      links: {
        secret: 'the secret of the links of the wiki',
        routes: { attachment: '/pages/:page/attachments/:id' },
      },
    }),
  ],
})
class DigestWorkerModule {}

describe('the same wiki by hand', () => {
  let app: TestApp;
  let ada: Cookie;
  beforeAll(async () => {
    app = await startApp({ adapter: 'express', controllers: [], imports: [WikiByHand.at(folder.path)] });
    ada = await signIn(app, 'ada', 'analytical');
  });
  afterAll(() => app.close());

  it.runIf(COUNTS_DESCRIPTORS)('keeps the descriptor of a client that left', async () => {
    (await start(app.url + SALARIES, { headers: ada })).leave();
    await signIn(app, 'ada', 'analytical'); // the server has seen by then that the client left
    expect(openDescriptors(folder.path)).toBe(1);
  });

  it('gets most of it wrong', async () => {
    const { url } = await share(app, SALARIES, ada);
    const file = { app, path: url, headers: ada, bytes: TABLE, name: NAME, lost: LOST, folder: folder.path };
    expect(await wrongs(file)).toEqual([
      'the whole file has a length and a validator',
      'it is saved under its name, whatever the name is',
      'neither shared caches keep it nor browsers guess its type',
      'the last bytes are 206',
      'an end beyond the file is cut',
      'a range beyond the file is 416',
      'several ranges are multipart',
      'what the client has is 304',
      'If-Match and If-Range are heeded',
      'a file that is lost is a 404 without the headers of the file',
    ]);
  });
});
