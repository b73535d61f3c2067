import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthModule, DownloadLinks } from '../../lib/index.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { CrmModule as CrmByHand } from './crm/by-hand/crm.module.js';
import { CrmModule } from './crm/crm.module.js';
import { badLinks, letIn } from './support/attacks.js';
import { MORE_THAN_SOCKETS_HOLD, RIGHTS, wrongs } from './support/delivery.js';

const BYTES = pattern(MORE_THAN_SOCKETS_HOLD);
const NAME = 'Angebot für Müller & Söhne; "final".zip';

const folder = temporaryFolder();
folder.file('blob-1', BYTES);
folder.file('blob-2', 'of globex');
afterAll(() => folder.remove());

const uploadedAt = new Date('2026-05-06T07:08:09Z');
const file = { workspace: 'acme', version: 'v1', uploadedAt, name: NAME, size: BYTES.length };
const FILES = {
  offer: { ...file, blob: 'blob-1' },
  lost: { ...file, blob: 'blob-3' },
  other: { ...file, workspace: 'globex', blob: 'blob-2', size: 9 },
};

interface SignedIn {
  readonly accessToken: string;
  readonly refreshToken: string;
}

async function signIn(app: TestApp, workspace: string): Promise<SignedIn> {
  return (await app.request(`/workspaces/${workspace}/sign-in/ada`, { method: 'POST' })).json;
}

async function share(app: TestApp, id: string, accessToken: string): Promise<{ url: string; token: string }> {
  const answer = await app.request(`/files/${id}/links`, { method: 'POST', headers: bearer(accessToken) });
  expect(answer.status).toBe(201);
  return answer.json;
}

describe.each(ADAPTERS)('a CRM with a key per workspace on %s', (adapter) => {
  let app: TestApp;
  let acme: SignedIn;
  let globex: SignedIn;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [], imports: [CrmModule.with(folder.path, FILES)] });
    [acme, globex] = [await signIn(app, 'acme'), await signIn(app, 'globex')];
  });
  afterAll(() => app.close());

  it.each(RIGHTS)('%s', async (_right, check) => {
    const { url } = await share(app, 'offer', acme.accessToken);
    const { url: lost } = await share(app, 'lost', acme.accessToken);
    await check({
      app,
      path: url,
      bytes: BYTES,
      name: NAME,
      lost,
      folder: folder.path,
    });
  });

  it('access tokens open the files of their own workspace only', async () => {
    const status = async (id: string, token: string) =>
      (await app.request(`/files/${id}`, { method: 'HEAD', headers: bearer(token) })).status;
    expect(await status('offer', acme.accessToken)).toBe(200);
    expect(await status('other', acme.accessToken)).toBe(404);
    expect(await status('offer', globex.accessToken)).toBe(404);
    expect(await status('other', globex.accessToken)).toBe(200);
  });

  it('a refresh token opens nothing, although it has the same key', async () => {
    const answer = await app.request('/files/offer', { headers: bearer(acme.refreshToken) });
    expectRefusal(answer, 401, 'TOKEN_INVALID', acme.refreshToken);
  });

  it('no bad link gets the file', async () => {
    const { token } = await share(app, 'offer', acme.accessToken);
    const { token: other } = await share(app, 'other', globex.accessToken);
    expect(await letIn(app, badLinks('/files/offer', token, other))).toEqual([]);
  });

  it('a link is good for its file alone, not for what the guard of the CRM guards', async () => {
    const { token } = await share(app, 'offer', acme.accessToken);
    const answer = await app.request('/files/offer/links', { method: 'POST', headers: bearer(token) });
    expect(answer.status).toBe(401);
  });

  it('a worker without controllers makes links that open', async () => {
    const worker = await NestFactory.createApplicationContext(MailWorkerModule, { logger: false });
    const mint = (workspace: string) =>
      worker.get(DownloadLinks).create('record-file', { params: { id: 'other' }, claims: { workspace } });
    expect((await app.request(mint('globex').url)).text).toBe('of globex');
    expect((await app.request(mint('acme').url)).status).toBe(404);
    await worker.close();
  });
});

/** A process of its own, without HTTP. */
@Module({
  imports: [
    DownloadAuthModule.forRoot({
      auth: 'links',
      links: { secret: 'the secret of the links of the CRM', routes: { 'record-file': '/files/:id' } },
    }),
  ],
})
class MailWorkerModule {}

describe('the same CRM by hand', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({
      adapter: 'express',
      controllers: [],
      imports: [CrmByHand.with(folder.path, FILES)],
    });
  });
  afterAll(() => app.close());

  it('gets most of it wrong', async () => {
    const { accessToken } = await signIn(app, 'acme');
    const { url } = await share(app, 'offer', accessToken);
    const { url: lost } = await share(app, 'lost', accessToken);
    const file = { app, path: url, bytes: BYTES, name: NAME, lost, folder: folder.path };
    expect(await wrongs(file)).toEqual([
      'the whole file has a length and a validator',
      'it is saved under its name, whatever the name is',
      'neither shared caches keep it nor browsers guess its type',
      'a range in the middle is 206',
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
