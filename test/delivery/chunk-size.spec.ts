import { describe, expect, it } from 'vitest';
import { ChunkSize } from '../../lib/delivery/body-reader.js';

const MIB = 1024 * 1024;

describe('the size of a chunk', () => {
  it('stays at 32 KiB until 8 MiB are sent, then doubles up to 512 KiB', () => {
    const size = new ChunkSize();
    for (let sent = 0; sent < 8 * MIB; sent += size.current) {
      expect(size.current).toBe(32_768);
      size.took(size.current, 1);
      if (sent + size.current >= 8 * MIB) {
        break;
      }
    }
    const seen = [];
    for (let i = 0; i < 6; i++) {
      seen.push(size.current / 1024);
      size.took(size.current, 1);
    }
    expect(seen).toEqual([64, 128, 256, 512, 512, 512]);
  });

  it('is halved for every chunk that took long, and grows again', () => {
    const size = new ChunkSize();
    for (let i = 0; i < 5; i++) {
      size.took(8 * MIB, 1);
    }
    size.took(1, 1000);
    expect(size.current).toBe(262_144);
    size.took(1, 100);
    expect(size.current).toBe(262_144);
    for (let i = 0; i < 9; i++) {
      size.took(1, 1000);
    }
    expect(size.current).toBe(32_768);
    size.took(1, 1);
    expect(size.current).toBe(65_536);
  });
});
