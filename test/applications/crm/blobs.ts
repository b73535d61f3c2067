import { Injectable } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

export class NoSuchBlob extends Error {}

/** An object store, as its client library shows it. */
@Injectable()
export class Blobs {
  constructor(private readonly folder: string) {}

  /**
   * @param end the byte after the last
   * @throws NoSuchBlob
   */
  async read(key: string, start = 0, end = Infinity): Promise<Readable> {
    const path = join(this.folder, key);
    await access(path).catch(() => {
      throw new NoSuchBlob(key);
    });
    return createReadStream(path, { start, end: end - 1 });
  }
}
