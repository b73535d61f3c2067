import { Controller, Get, Param, StreamableFile } from '@nestjs/common';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, Grant, StreamDownload } from '../lib/index.js';
import type { DownloadGrant } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { ADAPTERS, bearer, startApp } from './support/test-app.js';
import type { TestApp } from './support/test-app.js';

const folder = mkdtempSync(join(tmpdir(), 'main-job-'));
const bytes = Buffer.alloc(300_000, 'download ');
writeFileSync(join(folder, 'report.bin'), bytes);
afterAll(() => rmSync(folder, { recursive: true }));

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload()
  download(@Param('id') id: string): StreamableFile {
    return new StreamableFile(createReadStream(join(folder, id)));
  }

  @Get(':id/who')
  @StreamDownload()
  who(@Grant() grant: DownloadGrant): unknown {
    return grant;
  }
}

describe.each(ADAPTERS)('a private download on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [FilesController] });
  });
  afterAll(() => app.close());

  it('is refused without a token', async () => {
    const answer = await app.request('/files/report.bin');
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.json).toMatchObject({ statusCode: 401, error: 'Unauthorized', code: 'TOKEN_MISSING' });
  });

  it.each([
    ['the Authorization header', '', (token: string) => bearer(token)],
    ['the ss-tok query parameter', '?ss-tok=TOKEN', () => ({})],
    ['the ss-tok cookie', '', (token: string) => ({ cookie: `ss-tok=${token}` })],
  ])('arrives whole with an access token in %s', async (_where, query, headers) => {
    const token = accessToken();
    const answer = await app.request(`/files/report.bin${query.replace('TOKEN', token)}`, {
      headers: headers(token),
    });
    expect(answer.status).toBe(200);
    expect(answer.body.equals(bytes)).toBe(true);
  });

  it('arrives whole through an expiring link, for which the caller needs nothing else', async () => {
    const link = app.get(DownloadLinks).create(FilesController, 'download', { params: { id: 'report.bin' } });
    const answer = await app.request(link.url);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(bytes)).toBe(true);
  });

  it('tells the handler who is asking', async () => {
    const answer = await app.request('/files/report.bin/who', { headers: bearer(accessToken()) });
    expect(answer.json).toMatchObject({ kind: 'access', subject: 'ada', transport: 'header' });
  });
});
