import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PooledBuffer } from '../../../lib/delivery/body/buffer-pool.js';
import { FileSource } from '../../../lib/delivery/body/file.source.js';
import { type OpenFile } from '../../../lib/delivery/representation/open-file.js';

const KIB = 1024;
const END = 1024 * KIB * KIB;

describe('a file source', () => {
  let where: string[];
  let sources: FileSource[];
  const file = (name: string) =>
    ({
      read: async (_buffer: Buffer, length: number) => (where.push(`${name} in the pool`), length),
      readPromptly: async (_buffer: Buffer, length: number) => (where.push(`${name} here`), length),
      close: vi.fn(async () => {}),
    }) as unknown as OpenFile;
  const source = (name: string) => {
    const made = new FileSource(file(name), 0);
    sources.push(made);
    return made;
  };
  beforeEach(() => {
    where = [];
    sources = [];
  });
  afterEach(() => Promise.all(sources.map((one) => one.close())));

  it('is read in this thread while its download is the only one', async () => {
    const only = source('only');
    await only.read(0, END, 32 * KIB, true);
    await only.read(0, END, 512 * KIB, true);
    expect(where).toEqual(['only here', 'only here']);
  });

  it('is read in the thread pool where another download has begun, until that has ended', async () => {
    const [first, second] = [source('first'), source('second')];
    await first.read(0, END, 32 * KIB, true);
    await second.read(0, END, 32 * KIB, true);
    await first.read(0, END, 32 * KIB, true);
    await second.close();
    await first.read(0, END, 32 * KIB, true);
    expect(where).toEqual(['first here', 'second in the pool', 'first in the pool', 'first here']);
  });

  it('is as good as alone with large chunks among downloads with small ones', async () => {
    const [fast, slow] = [source('fast'), source('slow')];
    await slow.read(0, END, 32 * KIB, true);
    await fast.read(0, END, 128 * KIB, true);
    await slow.read(0, END, 128 * KIB, true);
    await slow.read(0, END, 64 * KIB, true);
    await fast.read(0, END, 256 * KIB, true);
    expect(where.slice(1)).toEqual(['fast here', 'slow in the pool', 'slow in the pool', 'fast here']);
  });

  it('keeps the memory that was lent until nobody holds on to it, also where it is closed before', async () => {
    const size = 256 * KIB;
    const lender = source('lender');
    const { buffer } = await lender.read(0, END, size, true);
    lender.lend();
    await lender.close();
    expect(new PooledBuffer(size).bytes.buffer).not.toBe(buffer);
    lender.written();
    expect(new PooledBuffer(size).bytes.buffer).toBe(buffer);
  });

  it('is read in the thread pool where its bytes go to somebody else', async () => {
    await source('given').read(0, END, 64 * KIB, false);
    expect(where).toEqual(['given in the pool']);
  });
});
