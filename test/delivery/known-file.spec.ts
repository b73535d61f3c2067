import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { ADAPTERS } from '../support/test-app.js';
import { temporaryFolder } from '../support/files.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';

const folder = temporaryFolder();
const outside = temporaryFolder();
const root = folder.path;
const path = folder.file('report.pdf', 'the report');
afterAll(() => [folder, outside].forEach((one) => one.remove()));

describe.each(ADAPTERS)('a file that the client has, on %s', (adapter) => {
  let app: TestApplication;
  let etag: string;
  beforeAll(async () => {
    app = await startApplication(adapter);
    app.serve(() => Download.file(path));
    ({ etag = '' } = (await app.request('/f')).headers as { etag?: string });
  });
  afterAll(() => app.close());

  const serve = (options?: object, status = 200) =>
    app.serve((_request, response) => {
      response.status(status);
      return Download.file(path, options);
    });

  it.each([
    ['its tag among others', (tag: string) => ({ 'if-none-match': `"a", W/${tag}` }), 304],
    ['any tag', () => ({ 'if-none-match': '*' }), 304],
    ['another tag', () => ({ 'if-none-match': '"a"' }), 200],
    ['a range of another version', () => ({ 'if-none-match': '"a"', range: 'bytes=0-1' }), 206],
    ['its tag and another to match', (tag: string) => ({ 'if-none-match': tag, 'if-match': '"a"' }), 412],
  ])('is compared with %s', async (_name, fields, expected) => {
    for (const options of [{}, { root }]) {
      serve(options);
      for (const method of ['GET', 'HEAD']) {
        const { status, body } = await app.request('/f', { method, headers: fields(etag) });
        const isPart = expected === 206 && method === 'GET';
        expect(status).toBe(expected === 206 && !isPart ? 200 : expected);
        expect(body.length).toBe(method === 'HEAD' || expected > 299 ? 0 : isPart ? 2 : 10);
      }
    }
  });

  it.each([
    ['the handler gives another tag', () => serve({ etag: 'v1' }), 200],
    [
      'the handler sets another tag',
      () => app.serve((_request, response) => (response.header('ETag', '"v1"'), Download.file(path))),
      200,
    ],
    ['the handler chose the status', () => serve({}, 203), 203],
  ])('is sent where %s', async (_name, arrange, expected) => {
    arrange();
    const { status, body } = await app.request('/f', { headers: { 'if-none-match': etag } });
    expect([status, body.toString()]).toEqual([expected, 'the report']);
  });

  it.each([
    ['is gone', 'gone.pdf', () => {}],
    [
      'lies outside the root',
      'link.pdf',
      () => symlinkSync(outside.file('secret.pdf', 'secret'), join(root, 'link.pdf')),
    ],
  ])('is a 404 where it %s', async (_name, name, arrange) => {
    arrange();
    app.serve(() => Download.file(name, { root }));
    expect((await app.request('/f', { headers: { 'if-none-match': etag } })).status).toBe(404);
    rmSync(join(root, name), { force: true });
  });
});
