import type { DownloadEvent } from 'nestjs-download-auth';
import type { Observable } from 'rxjs';
import type { LinkTerms } from '../../app.providers.js';

/** A link that somebody made. Times are milliseconds since 1970. */
export interface LinkEntry extends LinkTerms {
  readonly id: string;
  readonly owner: string;
  /** The `id` of the file. */
  readonly file: string;
  /** Its URL, encrypted: see `LinkSeal`. */
  readonly sealedUrl: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt?: number;
}

/** Something that happened to a link: the part of an event of the download package that its owner sees. */
export interface Happening {
  readonly type: DownloadEvent['type'];
  readonly at: number;
  readonly status?: number;
  readonly code?: string;
  /** Bytes of the whole file. */
  readonly length?: number;
  /** The first byte of a resumed answer. */
  readonly from?: number;
  /** Bytes that the answer sent. */
  readonly bytes?: number;
}

export interface LinkRecord extends LinkEntry {
  /** The latest {@link HAPPENINGS_KEPT}, oldest first. */
  readonly happenings: readonly Happening[];
}

/** Something about a link has changed. */
export interface LinkChange {
  readonly id: string;
  readonly owner: string;
}

export const HAPPENINGS_KEPT = 8;

/** How long a link is listed after it expired, so that its owner sees what became of it; ms. */
const LISTED_AFTER_END = 10 * 60 * 1000;

/** Milliseconds since 1970. */
export function listedUntil({ expiresAt }: LinkEntry): number {
  return expiresAt + LISTED_AFTER_END;
}

/** Who made which link, and what happened to it. Downloads are counted in the package's own store. */
export abstract class LinkStore {
  /** Changes made by any instance of the application that shares the store. */
  abstract readonly changes: Observable<LinkChange>;

  /** Adds a link, or replaces its entry. */
  abstract put(entry: LinkEntry): Promise<void>;

  abstract note(entry: LinkEntry, happening: Happening): Promise<void>;

  abstract find(id: string): Promise<LinkRecord | undefined>;

  /** The ids of one person's links, in any order. */
  abstract idsOf(owner: string): Promise<string[]>;
}
