import { Injectable } from '@nestjs/common';
import { FileStorage } from '@flystorage/file-storage';
import { Download } from 'nestjs-download-auth';
import type { Readable } from 'node:stream';

@Injectable()
export class StoredFiles {
  constructor(private readonly storage: FileStorage) {}

  async open(path: string) {
    const { size = 0, lastModifiedMs = 0 } = await this.storage.statFile(path);
    return Download.source(
      {
        length: size,
        etag: `${size}-${lastModifiedMs}`,
        lastModified: new Date(lastModifiedMs),
        open: async ({ start }) => skip(start, await this.storage.read(path)),
      },
      { filename: path },
    );
  }
}

/** Flystorage reads from the start only, so a resume reads what the client has once more, and drops it. */
async function* skip(bytes: number, stream: Readable) {
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (bytes < chunk.length) {
      yield chunk.subarray(bytes);
    }
    bytes = Math.max(0, bytes - chunk.length);
  }
}
