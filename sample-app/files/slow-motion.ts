import { Download, type DownloadGrant } from 'nestjs-download-auth';
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LibraryFile } from './file-library.service.js';

/** The claim of a link that says how fast it is served, in bytes a second. */
const PACE = 'pace';

/** Pieces a second, and the most bytes that a piece has, however fast a link wants to be. */
const BEAT = 10;
const LARGEST_PIECE = 64 * 1024;

/**
 * Claims of a link for {@link slowly}. On one computer a large file takes no time; to watch a download, resume it or
 * revoke it under way, somebody may ask for a link that takes its time. The link is signed, so nobody speeds it up.
 */
export function paceClaims(bytesPerSecond: number | undefined): Record<string, unknown> {
  return bytesPerSecond === undefined ? {} : { [PACE]: bytesPerSecond };
}

/** Bytes a second, where the link says so. */
export function paceOf({ claims }: DownloadGrant): number | undefined {
  return typeof claims[PACE] === 'number' ? claims[PACE] : undefined;
}

/** A file at a steady pace. Ranges, resuming and counting work as for any other download. */
export function slowly({ name, path, size, modifiedAt }: LibraryFile, bytesPerSecond: number): Download {
  return Download.source(
    {
      length: size,
      etag: `${size}-${modifiedAt.getTime()}`,
      lastModified: modifiedAt,
      open: ({ start, end, signal }) => read(path, start, end, bytesPerSecond, signal),
    },
    { filename: name },
  );
}

async function* read(path: string, start: number, end: number, bytesPerSecond: number, signal: AbortSignal) {
  const file = createReadStream(path, {
    start,
    end: end - 1,
    highWaterMark: Math.min(Math.ceil(bytesPerSecond / BEAT), LARGEST_PIECE),
    signal,
  });
  for await (const piece of file as AsyncIterable<Buffer>) {
    await sleep((piece.length / bytesPerSecond) * 1000, undefined, { signal });
    yield piece;
  }
}
