import { describe, expect, it } from 'vitest';
import { PooledBuffer } from '../../lib/delivery/buffer-pool.js';

describe('a pooled buffer', () => {
  it('has the next power of two, at least 4 KiB', () => {
    expect([1, 4096, 4097, 32_768, 500_000].map((size) => new PooledBuffer(size).size)).toEqual([
      4096, 4096, 8192, 32_768, 524_288,
    ]);
  });

  it('is used again once it was retired', () => {
    const first = new PooledBuffer(16_384);
    const { bytes } = first;
    first.retire();
    expect(new PooledBuffer(16_384).bytes).toBe(bytes);
  });

  it('is not used again while a read or write is under way, and is when that ends', () => {
    const first = new PooledBuffer(65_536);
    const { bytes } = first;
    first.busy();
    first.retire();
    expect(new PooledBuffer(65_536).bytes).not.toBe(bytes);
    first.idle();
    expect(new PooledBuffer(65_536).bytes).toBe(bytes);
  });

  it('goes back once, however often it is given back', () => {
    const first = new PooledBuffer(131_072);
    first.retire();
    first.retire();
    first.idle();
    expect(new PooledBuffer(131_072).bytes).not.toBe(new PooledBuffer(131_072).bytes);
  });

  it('refuses its bytes while they belong to somebody else', () => {
    const buffer = new PooledBuffer(4096);
    buffer.busy();
    expect(() => buffer.bytes).toThrow();
    buffer.idle();
    buffer.retire();
    expect(() => buffer.bytes).toThrow();
  });
});
