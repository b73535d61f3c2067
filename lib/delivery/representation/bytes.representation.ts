import { createHash } from 'node:crypto';
import { BytesSource } from '../body/bytes.source.js';
import { type Representation } from './representation.js';

/** Bytes in memory. The entity tag is a digest of them, so it is as strong as can be. */
export function bytesRepresentation(bytes: Uint8Array, withEtag = true): Representation {
  return {
    length: bytes.length,
    seekable: true,
    etag: withEtag ? `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` : undefined,
    bytes: () => new BytesSource(bytes),
    close: () => Promise.resolve(),
  };
}
