import { type ByteSource } from './byte-source.js';

/** Bytes that are in memory already: handed on without a copy. */
export class BytesSource implements ByteSource {
  constructor(private readonly bytes: Uint8Array) {}

  read(position: number, end: number, size: number): Promise<Uint8Array> {
    // Slices of this size keep the write callbacks, and what they count, close to what the client has
    const step = Math.max(size, 256 * 1024);
    return Promise.resolve(this.bytes.subarray(position, Math.min(end, position + step)));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
