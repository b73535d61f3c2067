import { expect, it, vi } from 'vitest';
import { PooledBuffer } from '../../lib/delivery/buffer-pool.js';
import { FileSource } from '../../lib/delivery/file.source.js';
import { type OpenFile } from '../../lib/delivery/open-file.js';

it('keeps the memory that was lent until its receiver is done with it, also where it is closed before', async () => {
  const size = 256 * 1024;
  const file = { read: async (_buffer: Buffer, length: number) => length, close: vi.fn(async () => {}) };
  const lender = new FileSource(file as unknown as OpenFile, 0);
  const { buffer } = await lender.read(0, Infinity, size, true);
  lender.lend();
  await lender.close();
  expect(new PooledBuffer(size).bytes.buffer).not.toBe(buffer);
  lender.written();
  expect(new PooledBuffer(size).bytes.buffer).toBe(buffer);
});
