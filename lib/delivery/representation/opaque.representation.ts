import { Readable } from 'node:stream';
import { StreamSource } from '../body/stream.source.js';
import { type ByteStream } from '../download.js';
import { type Representation } from './representation.js';

/**
 * A stream that can be read once, from its start: no ranges.
 *
 * @param length bytes it will give, where somebody said
 */
export function opaqueRepresentation(stream: ByteStream, length: number | undefined): Representation {
  if (stream instanceof Readable) {
    stream.on('error', () => {});
  }
  return {
    length,
    seekable: false,
    bytes: () => new StreamSource(() => stream),
    close: async () => {
      if (stream instanceof Readable) {
        stream.destroy();
      } else {
        await stream[Symbol.asyncIterator]().return?.();
      }
    },
  };
}
