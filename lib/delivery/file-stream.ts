import { fstat, ReadStream } from 'node:fs';
import { promisify } from 'node:util';
import type { ByteInterval } from './byte-range.js';
import { missingFile } from './failure.js';
import { openFile, OpenFile } from './open-file.js';

const fstatAsync = promisify(fstat);

const DESTROYED = 'The file stream was destroyed before it could be sent.';

/** What Node documents and its types leave out. */
export type OpeningStream = ReadStream & {
  fd?: number | null;
  flags?: string;
  autoClose?: boolean;
  start?: number;
  end?: number;
};

/** Whether it is the stream of a `FileHandle`, which stays open until the stream is destroyed. */
export function isOfHandle(stream: ReadStream): boolean {
  return Object.getOwnPropertySymbols(stream).some(({ description }) => description === 'kHandle');
}

/**
 * The file of a stream that a handler made with `createReadStream`, by the descriptor that the stream opened:
 * that is sent also where the name was unlinked since. The caller destroys the stream in the end, which has
 * nothing to close.
 *
 * @returns undefined, the stream untouched, for a device or a FIFO
 * @throws HttpException 404 for a directory; what kept the stream from opening
 */
export async function adoptFileStream(
  stream: OpeningStream,
  path: string,
  wanted: ByteInterval,
): Promise<OpenFile | undefined> {
  const opened = await openingOf(stream, path, wanted);
  if (opened instanceof OpenFile) {
    return opened;
  }
  const stats = await fstatAsync(opened, { bigint: true });
  if (stats.isDirectory()) {
    throw missingFile();
  }
  if (!stats.isFile()) {
    return undefined;
  }
  if (stream.destroyed) {
    throw new Error(DESTROYED);
  }
  const file = new OpenFile(path, stats, opened);
  file.isBorrowed = isOfHandle(stream);
  if (!file.isBorrowed) {
    stream.fd = null;
  }
  return file;
}

/** The stream's descriptor, or the file that was opened in its place. */
function openingOf(stream: OpeningStream, path: string, wanted: ByteInterval): Promise<number | OpenFile> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(stream.errored ?? new Error(DESTROYED));
    if (stream.errored || stream.destroyed) {
      fail();
    } else if (typeof stream.fd === 'number') {
      resolve(stream.fd);
    } else {
      const settle = (opened: number | OpenFile) => {
        // Avoids allocating an error on a normal close
        stream.off('error', fail).off('close', fail);
        resolve(opened);
      };
      stream.once('error', fail).once('close', fail).once('open', settle);
      if (mayOpenFor(stream)) {
        openFor(stream, path, wanted, settle);
      }
    }
  });
}

/** Whether the stream is Node's own, without listeners for the opening of its file but ours. */
function mayOpenFor(stream: OpeningStream): boolean {
  return (
    Object.getPrototypeOf(stream) === ReadStream.prototype &&
    stream.flags === 'r' &&
    stream.listenerCount('open') === 1 &&
    stream.listenerCount('ready') === 0
  );
}

/** Opens the file of a stream that has not begun to; what fails is left to the stream. */
function openFor(
  stream: OpeningStream,
  path: string,
  wanted: ByteInterval,
  settle: (file: OpenFile) => void,
): void {
  const construct = Reflect.get(stream, '_construct') as NonNullable<ReadStream['_construct']>;
  stream._construct = (callback) => {
    void openFile(path, undefined, wanted).then(
      (file) => {
        if (stream.destroyed) {
          void file.close();
        } else {
          settle(file);
        }
        callback();
      },
      () => construct.call(stream, callback),
    );
  };
}
