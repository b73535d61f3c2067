import { StreamableFile } from '@nestjs/common';
import { createHook } from 'node:async_hooks';
import { createReadStream, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { mergeMap } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Download } from '../../lib/delivery/download.js';
import { fileThread } from '../../lib/delivery/file-thread.js';
import { COUNTS_DESCRIPTORS, openDescriptors, pattern, temporaryFolder } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';
import { until } from '../support/until.js';
import { startApplication } from './support/application.js';
import type { TestApplication } from './support/application.js';

const folder = temporaryFolder();
const root = folder.path;
const bytes = pattern(300_000);
const small = folder.file('small.bin', bytes.subarray(0, 1000));
const other = folder.file('other.bin', bytes.subarray(1000, 2000));
const large = folder.file('large.bin', bytes);
mkdirSync(join(root, 'folder'));
symlinkSync('/proc/version', join(root, 'outside'));
afterAll(() => folder.remove());

/** How many calls of the file system were handed to the thread pool meanwhile. */
async function poolCalls(during: () => Promise<unknown>): Promise<number> {
  let calls = 0;
  const hook = createHook({
    init(_id, type) {
      calls += type.startsWith('FSREQ') ? 1 : 0;
    },
  }).enable();
  await during();
  hook.disable();
  return calls;
}

describe.each(ADAPTERS)('the thread for files, on %s', (adapter) => {
  let app: TestApplication;
  beforeAll(async () => {
    app = await startApplication(adapter);
  });
  afterAll(async () => {
    await app.close();
    fileThread.stop();
  });

  const get = async (headers = {}) => {
    const answer = await app.request('/f', { headers });
    return [answer.status, answer.body] as const;
  };

  it('starts in a process that is busy, and spares the thread pool then', async () => {
    fileThread.stop();
    app.serve(() => Download.file(small));
    const isSpared = async () => {
      await Promise.all(Array.from({ length: 30 }, () => get()));
      return (await poolCalls(get)) === 0;
    };
    await vi.waitUntil(isSpared, 8000);
  });

  describe('that runs', () => {
    beforeAll(() => fileThread.start());

    const HANDLERS: [string, (name: string) => unknown][] = [
      ['a path', (name) => Download.file(join(root, name))],
      ['a path below a root', (name) => Download.file(name, { root })],
      ['a file stream', (name) => new StreamableFile(createReadStream(join(root, name)))],
    ];
    it.each(HANDLERS)('answers what the thread pool answers: %s', async (_name, handler) => {
      app.serve((request) => handler(request.params.name as string));
      const askAll = async () => {
        const answers = [];
        for (const name of ['small.bin', 'large.bin', 'gone.bin', 'folder', 'outside']) {
          for (const range of ['', 'bytes=10-19', 'bytes=299990-', 'bytes=-7', 'bytes=0-1,500-600']) {
            const { status, headers, body } = await app.request(`/${name}`, {
              headers: range ? { range } : {},
            });
            const sent = body.toString('latin1').replaceAll(/--[0-9a-f]{32}/g, '--');
            answers.push([name, range, status, headers.etag, headers['content-range'], sent]);
          }
        }
        return answers;
      };
      fileThread.stop();
      const expected = await askAll();
      await fileThread.start();
      expect(await askAll()).toEqual(expected);
    });

    it.each(HANDLERS)('sends a part of a large file without the thread pool: %s', async (_name, handler) => {
      await fileThread.start();
      app.serve(() => handler('large.bin'));
      const part = async () => {
        const [status, body] = await get({ range: 'bytes=100000-150000' });
        expect([status, body.equals(bytes.subarray(100_000, 150_001))]).toEqual([206, true]);
      };
      // On a busy machine the thread may be late
      await vi.waitUntil(async () => (await poolCalls(part)) === 0, 8000);
    });

    it('gives its memory back, whatever the answer', async () => {
      await fileThread.start();
      app.serve(() => Download.file(large));
      const { headers: known } = await app.request('/f');
      const requests = [
        { headers: { range: 'bytes=0-50000' } },
        { headers: { range: 'bytes=0-9,70-79' } },
        { headers: { range: 'bytes=300000-' } },
        { headers: { 'if-none-match': known.etag as string } },
        { headers: { 'if-match': '"another"' } },
        { method: 'HEAD' },
      ];
      for (const request of requests) {
        await Promise.all(Array.from({ length: 70 }, () => app.request('/f', request)));
      }
      app.serve(() => Download.file(small));
      await vi.waitUntil(async () => (await poolCalls(get)) === 0, 8000);
    });

    it('leaves what an interceptor has read as it is', async () => {
      const kept: Uint8Array[] = [];
      const keeping = await startApplication(adapter, (nest) => {
        nest.useGlobalInterceptors({
          intercept: (_context, next) =>
            next.handle().pipe(
              mergeMap(async (file: StreamableFile) => {
                for await (const chunk of file.getStream()) {
                  kept.push(chunk as Uint8Array);
                }
                return 'read';
              }),
            ),
        });
      });
      await fileThread.start();
      keeping.serve(() => Download.file(small));
      await keeping.request('/f');
      keeping.serve(() => Download.file(other));
      await keeping.request('/f');
      await keeping.close();
      expect(Buffer.concat(kept).equals(bytes.subarray(0, 2000))).toBe(true);
    });

    it('leaves a stream alone whose opening is watched, and tells one that it has ended', async () => {
      await fileThread.start();
      const seen: string[] = [];
      const served = (events: string[]) => () => {
        const stream = createReadStream(small);
        events.forEach((name) => stream.on(name, () => seen.push(name)));
        return new StreamableFile(stream);
      };
      for (const events of [
        ['open', 'end', 'close'],
        ['end', 'close'],
      ]) {
        app.serve(served(events));
        expect((await get())[1].length).toBe(1000);
        await until(() => seen.length === events.length, events.join());
        expect(seen.splice(0)).toEqual(events);
      }
    });
  });

  describe.runIf(COUNTS_DESCRIPTORS)('that hangs', () => {
    it('keeps nobody waiting, and leaves no descriptor when it answers after all', async () => {
      await fileThread.start();
      const original = Reflect.get<Worker, 'postMessage'>(Worker.prototype, 'postMessage');
      const held: (() => void)[] = [];
      let jobs = 0;
      vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, posted) {
        jobs += (posted as unknown[]).length;
        held.push(() => original.call(this, posted));
      });
      app.serve(() => Download.file(large));
      for (const [status, body] of [...(await Promise.all([get(), get(), get()])), await get()]) {
        expect([status, body.equals(bytes)]).toEqual([200, true]);
      }
      expect(jobs).toBeGreaterThan(0);
      // Once it was late it gets no more
      expect(jobs).toBeLessThan(4);
      vi.restoreAllMocks();
      held.forEach((post) => post());
      app.serve(() => Download.file(small));
      await vi.waitUntil(async () => (await poolCalls(get)) === 0, 8000);
      await until(() => openDescriptors(root) === 0);
    });

    it('is replaced once it has ended, and nothing that was asked of it is lost', async () => {
      await fileThread.start();
      app.serve(() => Download.file(small));
      const answers = Array.from({ length: 10 }, () => get());
      setImmediate(() => fileThread.stop());
      expect((await Promise.all(answers)).map(([status]) => status)).toEqual(Array(10).fill(200));
      await fileThread.start();
      await vi.waitUntil(async () => (await poolCalls(get)) === 0, 8000);
    });
  });
});
