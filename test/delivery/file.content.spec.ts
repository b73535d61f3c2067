import { StreamableFile } from '@nestjs/common';
import { appendFileSync, createReadStream, existsSync, readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { OpenFile } from '../../lib/delivery/open-file.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';
import { until } from '../support/until.js';
import { COUNTS_DESCRIPTORS, openDescriptors, temporaryFolder } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';

/** A file of Linux that says it is empty and is not. */
const UNSIZED = '/proc/version';
const content = existsSync(UNSIZED) ? readFileSync(UNSIZED) : Buffer.alloc(0);

describe.runIf(COUNTS_DESCRIPTORS).each(ADAPTERS)('a file that does not know its size, on %s', (adapter) => {
  const [root, outside] = [temporaryFolder(), temporaryFolder()];
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterEach(() => vi.restoreAllMocks());
  afterAll(async () => {
    await app.close();
    root.remove();
    outside.remove();
  });

  const part = () => createReadStream(UNSIZED, { start: 6, end: 12 });
  it.each([
    ['Download.file', () => Download.file(UNSIZED), content],
    ['Download.file below a root', () => Download.file('version', { root: '/proc' }), content],
    ['a file stream', () => new StreamableFile(createReadStream(UNSIZED)), content],
    ['a part of it', () => new StreamableFile(part()), content.subarray(6, 13)],
  ])('is sent to its end, without length and ranges: %s', async (_name, handler, bytes) => {
    app.serve(handler);
    const { status, headers, body } = await app.request('/f', { headers: { range: 'bytes=0-3' } });
    expect([status, body.toString()]).toEqual([200, bytes.toString()]);
    expect(headers).toMatchObject({ 'accept-ranges': 'none' });
    expect(headers['content-length']).toBeUndefined();
    const head = await app.request('/f', { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    await until(() => openDescriptors(UNSIZED) === 0);
  });

  it('is what was opened below the root, though its name leads out of it by now', async () => {
    const secret = outside.file('secret', 'outside');
    const path = root.file('growing', '');
    const read = vi.spyOn(OpenFile.prototype, 'read').mockImplementationOnce(function (
      this: OpenFile,
      ...args
    ) {
      appendFileSync(path, 'inside');
      unlinkSync(path);
      symlinkSync(secret, path);
      return this.read(...args);
    });
    app.serve(() => Download.file('growing', { root: root.path }));
    const { status, body } = await app.request('/f');
    expect([status, body.toString()]).toEqual([200, 'inside']);
    expect(read).toHaveBeenCalled();
    await until(() => openDescriptors(root.path) === 0);
    unlinkSync(path);
  });
});
