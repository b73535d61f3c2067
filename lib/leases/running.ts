import type { Revocation } from './revocation.js';

export interface RunningDownload {
  readonly linkId: string;
  /** Milliseconds since the epoch at which its link was issued. */
  readonly issuedAt: number;
  /** The names under which its link may be revoked. */
  readonly names: readonly string[];
  /** Breaks the connection, because the link was revoked. */
  cut(): void;
}

/** How many links are looked up at a time. */
const LOOKS_AT_ONCE = 32;

/** The downloads that run on this node, to be cut when their link is revoked. */
export class RunningDownloads {
  private readonly running = new Set<RunningDownload>();
  private notices = 0;
  private waiting: (() => void)[] = [];

  /**
   * Changes whenever a revocation was heard of, or may have been missed. Who looked up a link
   * and finds this unchanged afterwards need not look again: of later revocations it will be told.
   */
  get generation(): number {
    return this.notices;
  }

  get size(): number {
    return this.running.size;
  }

  add(download: RunningDownload): () => void {
    this.running.add(download);
    return () => {
      this.running.delete(download);
      this.tellWhetherNone();
    };
  }

  /**
   * Resolves once none runs.
   *
   * @param patience milliseconds after which it resolves in any case
   */
  none(patience: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patience);
      this.waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
      this.tellWhetherNone();
    });
  }

  /** Cuts what the revocation concerns. */
  revoked({ name, issuedBefore }: Revocation): void {
    this.notices += 1;
    for (const download of this.running) {
      if (download.issuedAt < issuedBefore && download.names.includes(name)) {
        download.cut();
      }
    }
  }

  /** Cuts those that `isRevoked` says are revoked; for when notices may have been missed. */
  async recheck(isRevoked: (download: RunningDownload) => Promise<boolean>): Promise<void> {
    this.notices += 1;
    const links = new Map<string, RunningDownload[]>();
    for (const download of this.running) {
      const { linkId } = download;
      links.set(linkId, [...(links.get(linkId) ?? []), download]);
    }
    const waiting = [...links.values()];
    while (waiting.length > 0) {
      const looks = waiting.splice(0, LOOKS_AT_ONCE).map(async (downloads) => {
        if (await isRevoked(downloads[0]!)) {
          downloads.forEach((download) => download.cut());
        }
      });
      await Promise.all(looks);
    }
  }

  private tellWhetherNone(): void {
    if (this.running.size === 0) {
      this.waiting.splice(0).forEach((tell) => tell());
    }
  }
}
