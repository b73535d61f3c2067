import { Injectable, NotFoundException } from '@nestjs/common';
import { Download } from 'nestjs-download-auth';
import type { SourceRange } from 'nestjs-download-auth';
import { Pool } from 'pg';

@Injectable()
export class Attachments {
  constructor(private readonly pool: Pool) {}

  async open(id: string) {
    const { rows } = await this.pool.query(
      'SELECT name, sha256, length(bytes) FROM attachments WHERE id = $1',
      [id],
    );
    if (!rows[0]) {
      throw new NotFoundException();
    }
    const { name, sha256, length } = rows[0];
    return Download.source(
      { length, etag: sha256, open: (range) => this.read(id, range) },
      { filename: name, digest: { 'sha-256': sha256 } },
    );
  }

  /** Slice by slice, so that a slow client holds neither a connection nor the whole in memory. */
  private async *read(id: string, { start, end }: SourceRange) {
    for (let at = start; at < end; at += 262_144) {
      const slice = [id, at + 1, Math.min(262_144, end - at)]; // SQL counts from 1
      const { rows } = await this.pool.query(
        'SELECT substr(bytes, $2, $3) AS slice FROM attachments WHERE id = $1',
        slice,
      );
      yield rows[0].slice as Buffer;
    }
  }
}
