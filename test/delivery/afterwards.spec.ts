import { Logger, StreamableFile, UnauthorizedException } from '@nestjs/common';
import { createReadStream, existsSync } from 'node:fs';
import type { ReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import type { DownloadEnd } from '../../lib/delivery/download-options.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import type { RequestOptions } from '../support/http-client.js';
import { receive } from '../support/http-client.js';
import { connect } from '../support/raw-connection.js';
import { until } from '../support/until.js';
import { COUNTS_DESCRIPTORS, openDescriptors, pattern, temporaryFolder } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';

const folder = temporaryFolder();
const bytes = pattern(100_000);
const path = folder.file('kept.bin', bytes);
const big = folder.file('big.bin', Buffer.alloc(32 * 1024 * 1024));
afterAll(() => folder.remove());

const RANGE = { headers: { range: 'bytes=0-99' } };
const NEVER = { completed: false, bytes: 0 };

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(() => app.close());
  afterEach(async () => {
    vi.restoreAllMocks();
    if (COUNTS_DESCRIPTORS) {
      await until(() => openDescriptors(folder.path) === 0, 'the freeing of every descriptor');
    }
  });

  const source = () => ({
    length: bytes.length,
    etag: 'v1',
    open: ({ start, end }: { start: number; end: number }) => Readable.from([bytes.subarray(start, end)]),
  });
  const fails = async function* () {
    yield bytes.subarray(0, 10);
    throw new Error('no');
  };
  type OnEnd = { onEnd: (end: DownloadEnd) => unknown };
  it.each<[string, (options: OnEnd) => Download, RequestOptions, DownloadEnd]>([
    ['a file', (o) => Download.file(path, o), {}, { completed: true, bytes: 100_000 }],
    ['bytes', (o) => Download.buffer(bytes, o), {}, { completed: true, bytes: 100_000 }],
    ['a source', (o) => Download.source(source(), o), {}, { completed: true, bytes: 100_000 }],
    ['a stream', (o) => Download.stream(Readable.from([bytes]), o), {}, { completed: true, bytes: 100_000 }],
    ['an empty file', (o) => Download.buffer(Buffer.alloc(0), o), {}, { completed: true, bytes: 0 }],
    ['a part', (o) => Download.file(path, o), RANGE, { completed: false, bytes: 100 }],
    ['HEAD', (o) => Download.file(path, o), { method: 'HEAD' }, NEVER],
    ['304', (o) => Download.source(source(), o), { headers: { 'if-none-match': '*' } }, NEVER],
    ['412', (o) => Download.file(path, o), { headers: { 'if-match': '"x"' } }, NEVER],
    ['416', (o) => Download.file(path, o), { headers: { range: 'bytes=999999-' } }, NEVER],
    ['404', (o) => Download.file(join(folder.path, 'none'), o), {}, NEVER],
    ['content that fails', (o) => Download.stream(fails(), o), {}, { completed: false, bytes: 10 }],
  ])('onEnd is told once how the answer ended: %s', async (_name, make, asking, expected) => {
    vi.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    const ends: DownloadEnd[] = [];
    app.serve(() => make({ onEnd: (end) => ends.push(end) }));
    await receive(`${app.url}/f`, asking);
    await until(() => ends.length > 0, 'the end');
    expect(ends).toEqual([expected]);
  });

  it('onEnd is told that a client left, and that the download was refused', async () => {
    const ends: DownloadEnd[] = [];
    const onEnd = (end: DownloadEnd) => ends.push(end);
    app.serve(() => Download.file(big, { onEnd }));
    const socket = await connect(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.destroy();
    await until(() => ends.length === 1);
    expect(ends[0]?.completed).toBe(false);
    app.serve({
      handler: () => Download.file(big, { onEnd }),
      watch: { planned: () => Promise.reject(new UnauthorizedException()) },
    });
    expect((await app.request('/f')).status).toBe(401);
    await until(() => ends.length === 2);
    expect(ends[1]).toEqual(NEVER);
  });

  it.each([
    ['throws', () => { throw new Error('in onEnd'); }], // prettier-ignore
    ['rejects', () => Promise.reject(new Error('in onEnd'))],
  ])('an onEnd that %s is logged and harms nothing', async (_name, onEnd) => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    app.serve(() => Download.file(path, { onEnd }));
    expect((await app.request('/f')).body).toHaveLength(100_000);
    await until(() => logged.mock.calls.some(([text]) => String(text).includes('in onEnd')));
    expect((await app.request('/f')).status).toBe(200);
  });

  it.each<[string, RequestOptions]>([
    ['GET', {}],
    ['GET of a part, which is answered with the whole', RANGE],
    ['HEAD', { method: 'HEAD' }],
    ['If-None-Match: *', { headers: { 'if-none-match': '*' } }],
    ['If-Match', { headers: { 'if-match': '"x"' } }],
  ])('a file with deleteAfter is gone after the answer: %s', async (_name, asking) => {
    const made = folder.file('made.zip', bytes);
    app.serve(() => Download.file('made.zip', { root: folder.path, deleteAfter: true }));
    const { status, headers, body } = await app.request('/f', asking);
    expect(headers['etag']).toBeUndefined();
    expect(headers['last-modified']).toBeUndefined();
    if (status === 200) {
      expect(headers['accept-ranges']).toBe('none');
      expect(body.length).toBe(asking.method === 'HEAD' ? 0 : bytes.length);
    }
    await until(() => !existsSync(made), 'the deletion');
  });

  it('a file with deleteAfter is gone after a client left, and after a refusal', async () => {
    const made = () => folder.file('made.zip', Buffer.alloc(32 * 1024 * 1024));
    app.serve(() => Download.file(made(), { deleteAfter: true }));
    const socket = await connect(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.destroy();
    await until(() => !existsSync(join(folder.path, 'made.zip')), 'the deletion');
    app.serve({
      handler: () => Download.file(made(), { deleteAfter: true }),
      watch: { planned: () => Promise.reject(new UnauthorizedException()) },
    });
    expect((await app.request('/f')).status).toBe(401);
    await until(() => !existsSync(join(folder.path, 'made.zip')), 'the deletion');
  });

  it('deleteAfter leaves what is outside the root, and directories', async () => {
    app.serve(() => Download.file('../kept.bin', { root: join(folder.path, 'x'), deleteAfter: true }));
    expect((await app.request('/f')).status).toBe(404);
    app.serve(() => Download.file(folder.path, { deleteAfter: true }));
    expect((await app.request('/f')).status).toBe(404);
    expect(existsSync(path)).toBe(true);
  });

  it.each<[string, object, RequestOptions, string[]]>([
    ['the whole', {}, {}, ['end', 'close']],
    ['what it was made for', { start: 10, end: 99 }, {}, ['end', 'close']],
    ['a part', {}, RANGE, ['close']],
    ['HEAD', {}, { method: 'HEAD' }, ['close']],
    ['416', {}, { headers: { range: 'bytes=999999-' } }, ['close']],
  ])("the events of the handler's file stream happen: %s", async (_name, options, asking, expected) => {
    const seen: string[] = [];
    let stream: ReadStream;
    app.serve(() => {
      stream = createReadStream(path, options);
      stream.on('end', () => seen.push('end')).on('close', () => seen.push('close'));
      return new StreamableFile(stream);
    });
    await app.request('/f', asking);
    await until(() => seen.includes('close'), 'the close');
    expect(seen).toEqual(expected);
    expect(stream!.destroyed).toBe(true);
  });

  it("the handler's file stream closes but does not end where the client leaves", async () => {
    const seen: string[] = [];
    app.serve(() => {
      const stream = createReadStream(big);
      stream.on('end', () => seen.push('end')).on('close', () => seen.push('close'));
      return new StreamableFile(stream);
    });
    const socket = await connect(app.port, 'GET /f HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    socket.destroy();
    await until(() => seen.includes('close'), 'the close');
    expect(seen).toEqual(['close']);
  });

  it('the error logger of a StreamableFile is called in place of the log', async () => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    const errors: string[] = [];
    const withLogger = (stream: Readable) =>
      new StreamableFile(stream).setErrorLogger((error) => errors.push(error.message));
    app.serve(() => withLogger(Readable.from(fails())));
    expect((await receive(`${app.url}/f`)).broken).toBe(true);
    await until(() => errors.length > 0);
    app.serve(() => withLogger(createReadStream(join(folder.path, 'none'))));
    expect((await app.request('/f')).status).toBe(404);
    expect(errors).toEqual(['no', expect.stringContaining('ENOENT')]);
    expect(logged).not.toHaveBeenCalled();
  });

  it('the error handler of a StreamableFile answers for content that fails before its first byte', async () => {
    const handler = (error: Error, response: { statusCode: number; send(text: string): void }) => {
      response.statusCode = 422;
      response.send(`sorry: ${error.message.slice(0, 6)}`);
    };
    app.serve(() => new StreamableFile(createReadStream(join(folder.path, 'none'))).setErrorHandler(handler));
    const { status, body, headers } = await app.request('/f');
    expect([status, body.toString()]).toEqual([422, 'sorry: ENOENT']);
    expect(headers['content-disposition']).toBeUndefined();
  });

  it('the error handler of a StreamableFile gets content that fails half way', async () => {
    const errors: string[] = [];
    app.serve(() =>
      new StreamableFile(Readable.from(fails())).setErrorHandler((error) => errors.push(error.message)),
    );
    expect((await receive(`${app.url}/f`)).broken).toBe(true);
    await until(() => errors.length > 0);
    expect(errors).toEqual(['no']);
  });
});
