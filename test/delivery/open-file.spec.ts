import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { fileThread } from '../../lib/delivery/file-thread.js';
import { openFile } from '../../lib/delivery/open-file.js';
import { COUNTS_DESCRIPTORS, openDescriptors, temporaryFolder } from '../support/files.js';

/** Turns `root/inner` into a link that leads out and back into a folder, over and over. */
const SWAPPER = `
  const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
  const { workerData: { root, outside, stop } } = require('node:worker_threads');
  const inner = root + '/inner', aside = root + '/aside';
  while (Atomics.load(stop, 0) === 0) {
    renameSync(inner, aside);
    symlinkSync(outside, inner);
    unlinkSync(inner);
    renameSync(aside, inner);
  }
`;

describe.runIf(COUNTS_DESCRIPTORS)('a file that is opened below a root', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  it.each([
    ['the thread pool', async () => fileThread.stop()],
    ['a thread of its own', () => fileThread.start()],
  ])('is never one outside, however fast its folders are swapped for links: in %s', async (name, use) => {
    await use();
    const [root, outside] = [join(folder.path, name, 'root'), join(folder.path, name, 'outside')];
    for (const made of [join(root, 'inner'), outside]) {
      mkdirSync(made, { recursive: true });
    }
    writeFileSync(join(root, 'inner/file'), 'inside');
    writeFileSync(join(outside, 'file'), 'outside');
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const swapper = new Worker(SWAPPER, { eval: true, workerData: { root, outside, stop } });
    const seen = new Map<string, number>();
    const deadline = Date.now() + 1500;
    while (Date.now() < deadline) {
      const found = await openFile('inner/file', root).catch(() => undefined);
      const content = found ? Buffer.from(await found.read(0, 16, 16, false)).toString() : 'refused';
      await found?.close();
      seen.set(content, (seen.get(content) ?? 0) + 1);
    }
    Atomics.store(stop, 0, 1);
    await new Promise((resolve) => swapper.once('exit', resolve));
    expect([...seen.keys()].sort()).toEqual(['inside', 'refused']);
    expect(openDescriptors(folder.path)).toBe(0);
  });
});
