import { Injectable } from '@nestjs/common';
import type { DownloadLink } from 'nestjs-download-auth';

/** A link that somebody made. */
export interface LinkRecord {
  readonly id: string;
  readonly owner: string;
  /** The `id` of the file that it opens. */
  readonly file: string;
  readonly url: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Milliseconds for which a link stays listed after its end, so that its owner sees what became of it. */
const LISTED_AFTER_END = 10 * 60 * 1000;

/** Who made which link. Links work without any such list: it is there for the page, and so that people can revoke. */
@Injectable()
export class LinkLedger {
  private readonly records = new Map<string, LinkRecord>();

  add(owner: string, file: string, { id, url, expiresAt }: DownloadLink): void {
    this.forgetOld();
    this.records.set(id, { id, owner, file, url, createdAt: new Date(), expiresAt });
  }

  /** The links of one person, the newest first. */
  of(owner: string): LinkRecord[] {
    this.forgetOld();
    return [...this.records.values()].filter((record) => record.owner === owner).reverse();
  }

  /** One link of one person; `undefined` also for a link of somebody else. */
  find(owner: string, id: string): LinkRecord | undefined {
    const record = this.records.get(id);
    return record?.owner === owner ? record : undefined;
  }

  private forgetOld(): void {
    const limit = Date.now() - LISTED_AFTER_END;
    for (const [id, { expiresAt }] of this.records) {
      if (expiresAt.getTime() < limit) this.records.delete(id);
    }
  }
}
