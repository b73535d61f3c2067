import type { DownloadEvent } from 'nestjs-download-auth';
import type { Observable } from 'rxjs';

/** A link that somebody made. Moments are milliseconds since 1970. */
export interface LinkEntry {
  readonly id: string;
  readonly owner: string;
  /** The `id` of the file that it opens. */
  readonly file: string;
  /** Its URL, encrypted: see `LinkSeal`. */
  readonly sealedUrl: string;
  readonly maxDownloads?: number;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
}

/** Something that happened to a link: of an event of the download package, what its owner is told. */
export interface Happening {
  readonly type: DownloadEvent['type'];
  readonly at: number;
  readonly status?: number;
  readonly code?: string;
  /** Bytes of the whole file. */
  readonly length?: number;
  /** The byte with which an answer began. */
  readonly from?: number;
  /** Bytes that an answer sent. */
  readonly bytes?: number;
}

export interface LinkRecord extends LinkEntry {
  /** The latest {@link HAPPENINGS_KEPT}, in the order in which they happened. */
  readonly happenings: readonly Happening[];
}

/** There is something new to know about a link. */
export interface LinkChange {
  readonly id: string;
  readonly owner: string;
}

export const HAPPENINGS_KEPT = 8;

/** Milliseconds for which a link stays listed after its end, so that its owner sees what became of it. */
const LISTED_AFTER_END = 10 * 60 * 1000;

/** Milliseconds since 1970 until which a link is listed. */
export const listedUntil = ({ expiresAt }: LinkEntry): number => expiresAt + LISTED_AFTER_END;

/**
 * Who made which link, and what happened to it. Links work without any such list: it is there for the page, and so that
 * people can revoke. What the downloads are counted by is the package's own store.
 */
export abstract class LinkLedger {
  /** Changes that were made through any instance of the application that shares the ledger. */
  abstract readonly changes: Observable<LinkChange>;

  /** Enters a link, or what is new about it. */
  abstract put(entry: LinkEntry): Promise<void>;

  /** Writes down what happened. */
  abstract note(entry: LinkEntry, happening: Happening): Promise<void>;

  abstract find(id: string): Promise<LinkRecord | undefined>;

  /** The ids of one person's links, in no particular order. */
  abstract idsOf(owner: string): Promise<string[]>;
}
