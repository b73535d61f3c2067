import { mkdtempSync, readdirSync, readlinkSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that is gone after the tests. */
export function temporaryFolder(): {
  path: string;
  file(name: string, bytes: Uint8Array | string): string;
  /** An empty folder in it. */
  inner(): string;
  remove(): void;
} {
  const path = mkdtempSync(join(tmpdir(), 'download-'));
  return {
    path,
    file(name, bytes) {
      const file = join(path, name);
      writeFileSync(file, bytes);
      utimesSync(file, new Date('2024-05-06T07:08:09.123Z'), new Date('2024-05-06T07:08:09.123Z'));
      return file;
    },
    inner: () => mkdtempSync(join(path, 'inner-')),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Bytes that tell where they come from. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) {
    bytes[i] = (i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 255;
  }
  return bytes;
}

export const COUNTS_DESCRIPTORS = process.platform === 'linux';

/** How many descriptors of this process lead into the folder. */
export function openDescriptors(folder: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;
}
