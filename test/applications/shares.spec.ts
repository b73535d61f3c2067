import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pattern, temporaryFolder } from '../support/files.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { connect } from '../support/raw-connection.js';
import { SharesModule } from './shares/shares.module.js';
import { badLinks, letIn } from './support/attacks.js';
import { MORE_THAN_SOCKETS_HOLD, RIGHTS } from './support/delivery.js';
import { cookieOf, post, statusOf } from './support/requests.js';

const BYTES = pattern(MORE_THAN_SOCKETS_HOLD);
const NAME = 'résumé & notes.pdf';
const FILE = encodeURIComponent(NAME);
const OWNER = { 'x-owner': 'ada' };

const folder = temporaryFolder();
folder.file(NAME, BYTES);
const elsewhere = temporaryFolder();
elsewhere.file('secret.txt', 'not shared');
afterAll(() => [folder, elsewhere].forEach((each) => each.remove()));

const inADay = () => new Date(Date.now() + 86_400_000).toISOString();
const anHourAgo = () => new Date(Date.now() - 3_600_000).toISOString();

describe.each(ADAPTERS)('shares with a password on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [], imports: [SharesModule] });
  });
  afterAll(() => app.close());

  async function share(terms: object = {}): Promise<string> {
    const body = { folder: folder.path, password: 'sesame', expiresAt: inADay(), ...terms };
    return (await post(app, '/shares', body, OWNER)).json.id;
  }

  const view = (id: string, password = 'sesame') => post(app, `/shares/${id}/views`, { password });
  const path = (id: string) => `/shares/${id}/files/${FILE}`;

  async function link(id: string): Promise<{ url: string; token: string }> {
    const answer = await post(app, `${path(id)}/links`, {}, cookieOf(await view(id)));
    expect(answer.status).toBe(201);
    return answer.json;
  }

  it.each(RIGHTS)('%s', async (_right, check) => {
    const id = await share();
    const headers = cookieOf(await view(id));
    const lost = `/shares/${id}/files/lost.zip`;
    await check({
      app,
      path: path(id),
      headers,
      bytes: BYTES,
      name: NAME,
      lost,
      folder: folder.path,
    });
  });

  it('the password opens its share and no other', async () => {
    const [one, other] = [await share(), await share()];
    const headers = cookieOf(await view(one));
    expect((await view(one, 'guess')).status).toBe(403);
    expect(await statusOf(app, path(one))).toBe(401);
    expect(await statusOf(app, path(one), headers)).toBe(200);
    expect(await statusOf(app, path(other), headers)).toBe(401);
  });

  it('views are counted, and ranges of a download are no views', async () => {
    const id = await share({ maxViews: 2 });
    const headers = cookieOf(await view(id));
    for (const range of ['bytes=0-9', 'bytes=10-19', 'bytes=-5']) {
      expect((await app.request(path(id), { headers: { ...headers, range } })).status).toBe(206);
    }
    expect([(await view(id)).status, (await view(id)).status]).toEqual([204, 410]);
  });

  it('a file outside of the share is not found, however it is spelled', async () => {
    const id = await share();
    const headers = cookieOf(await view(id));
    const outside = [`${elsewhere.path}/secret.txt`, `../${elsewhere.path.split('/').pop()}/secret.txt`];
    for (const name of outside.flatMap((text) => [encodeURIComponent(text), escape(text)])) {
      expect(await statusOf(app, `/shares/${id}/files/${name}`, headers)).toBe(404);
    }
  });

  it('a link opens without the cookie, three times, and downloads are what counts', async () => {
    const { url } = await link(await share());
    for (let part = 0; part < 5; part++) {
      const answer = await app.request(url, { headers: { range: 'bytes=0-9', 'user-agent': 'manager' } });
      expect(answer.status).toBe(206);
    }
    const visit = async (agent: string) =>
      (await app.request(url, { headers: { 'user-agent': agent } })).status;
    expect([await visit('second'), await visit('third'), await visit('fourth')]).toEqual([200, 200, 410]);
  });

  it('no bad link gets the file, nor does a good one in place of the cookie', async () => {
    const [one, other] = [await share(), await share()];
    const { token } = await link(one);
    const attacks = badLinks(path(one), token, (await link(other)).token);
    const misplaced = [
      ['as the cookie of the share', path(one), { headers: { cookie: `share_${one}=${token}` } }],
      ['to make further links', `${path(one)}/links?ss-tok=${token}`, { method: 'POST' }],
    ] as const;
    expect(await letIn(app, [...attacks, ...misplaced])).toEqual([]);
  });

  it('an expiry that is brought forward ends links that are out, one that is put back revives them', async () => {
    const id = await share();
    const { url } = await link(id);
    const change = (expiresAt: string) => post(app, `/shares/${id}`, { expiresAt }, OWNER, 'PATCH');
    await change(anHourAgo());
    expect((await app.request(url)).status).toBe(410);
    await change(inADay());
    expect(await statusOf(app, url)).toBe(200);
  });

  it('a share that is removed ends its links, and cuts downloads that are running', async () => {
    const id = await share();
    const { url } = await link(id);
    const running = await connect(app.port, `GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const closed = new Promise((resolve) => running.once('close', resolve));
    await new Promise((resolve) => running.once('readable', resolve));
    await app.request(`/shares/${id}`, { method: 'DELETE', headers: OWNER });
    let received = 0;
    running.on('data', (chunk: Buffer) => (received += chunk.length));
    await closed;
    expect(received).toBeLessThan(BYTES.length);
    expect((await app.request(url)).status).toBe(410);
  });
});
