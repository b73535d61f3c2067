import { Controller, Get, Param, StreamableFile } from '@nestjs/common';
import { createReadStream, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StreamDownload } from '../../lib/index.js';
import { COUNTS_DESCRIPTORS, openDescriptors, temporaryFolder } from '../support/files.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const path = folder.file('digits.txt', '0123456789');

/** Streams of a descriptor that is open already, each with what it gives. */
const STREAMS: Record<string, [() => Promise<ReturnType<typeof createReadStream>>, string]> = {
  handle: [async () => (await open(path)).createReadStream(), '0123456789'],
  'part of a handle': [async () => (await open(path)).createReadStream({ start: 2, end: 7 }), '234567'],
  'handle that was read from': [
    async () => {
      const handle = await open(path);
      await handle.read(Buffer.alloc(4), 0, 4);
      return handle.createReadStream();
    },
    '456789',
  ],
  descriptor: [async () => createReadStream(null as never, { fd: openSync(path, 'r') }), '0123456789'],
  'part of a descriptor': [
    async () => createReadStream(null as never, { fd: openSync(path, 'r'), start: 2, end: 7 }),
    '234567',
  ],
  'descriptor that was read from': [
    async () => {
      const fd = openSync(path, 'r');
      readSync(fd, Buffer.alloc(4));
      return createReadStream(null as never, { fd });
    },
    '456789',
  ],
};

@Controller()
class FilesController {
  @Get(':name')
  @StreamDownload({ auth: 'public' })
  async file(@Param('name') name: string) {
    const [make] = STREAMS[name]!;
    return new StreamableFile(await make(), { type: 'text/plain' });
  }
}

// Where the system does not tell where a descriptor stands, only streams with a start have ranges
const streams = Object.keys(STREAMS).filter((name) => COUNTS_DESCRIPTORS || name.startsWith('part'));

describe.each(ADAPTERS)('a file whose stream has a descriptor, on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [FilesController], options: { secret: SECRET } });
  });
  afterAll(() => app.close());

  it.each(streams)('has ranges and validators as one with a path, and is closed: %s', async (name) => {
    const [, text] = STREAMS[name]!;
    const url = encodeURI(`/${name}`);
    const whole = await app.request(url);
    expect([whole.status, whole.text, whole.headers['accept-ranges']]).toEqual([200, text, 'bytes']);
    expect(whole.headers['last-modified']).toBe('Mon, 06 May 2024 07:08:09 GMT');
    const etag = whole.headers.etag!;
    const resumed = await app.request(url, { headers: { range: 'bytes=3-', 'if-range': etag } });
    expect([resumed.status, resumed.text]).toEqual([206, text.slice(3)]);
    const known = await app.request(url, { headers: { 'if-none-match': etag } });
    expect([known.status, known.text]).toEqual([304, '']);
    expect((await app.request(url, { method: 'HEAD' })).headers['content-length']).toBe(`${text.length}`);
    if (COUNTS_DESCRIPTORS) {
      await until(() => openDescriptors(folder.path) === 0, 'the closing of every descriptor');
    }
  });
});
