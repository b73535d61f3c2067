import { Bag } from '../shared/bag.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { LinkProgress } from '../events/link-messages.js';
import type { IntervalSet } from './interval-set.js';
import type { RevocationListener } from './lease-store.js';
import type { Revocable, Revocation } from './revocation.js';

/** A download that runs on this node. */
export interface RunningDownload {
  readonly link: Pick<Revocable, 'id' | 'issuedAt'>;
  /** The names under which it may be revoked. */
  readonly names: readonly string[];
  /** Called when it is revoked. */
  revoked(): void;
}

/** A download of a link, for those who follow the link. */
export interface LinkDownload extends RunningDownload {
  readonly isOver: boolean;
  /** How far it is, and how it ended; undefined where it has a lease, which says so. */
  readonly progress: LinkProgress | undefined;
  /** What it sent, if it runs under this lease. */
  sentUnder(leaseId: string): IntervalSet;
}

/** How many links are looked up at a time. */
const LOOKS_AT_ONCE = 32;

/** How often running downloads are looked up while revocations cannot be heard of, ms. */
const RECHECK_AFTER = 1000;

/** The downloads that run on this node. Cuts them when their link is revoked, here or elsewhere. */
export class RunningDownloads implements RevocationListener {
  /** Changes whenever a revocation was heard of, or may have been missed: then links are looked up again. */
  generation = 0;
  private readonly running = new Bag<RunningDownload>();
  private readonly followed = new Map<string, RunningDownload[]>();
  private readonly logger = new ThrottledLogger('DownloadAuth', 30_000);
  private hearing = true;
  private timer?: NodeJS.Timeout;
  private stopped = false;
  private noneRuns = () => {};

  /** @param isRevoked asks the store */
  constructor(private readonly isRevoked: (download: RunningDownload) => Promise<boolean>) {}

  get size(): number {
    return this.running.size;
  }

  add(download: RunningDownload): void {
    this.running.add(download);
    this.followed.get(download.link.id)?.push(download);
  }

  delete(download: RunningDownload): void {
    this.running.delete(download);
    if (this.running.size === 0) {
      this.noneRuns();
    }
  }

  /** The downloads of a link; further ones are added to the list until the link is {@link unfollow}ed. */
  follow(linkId: string): LinkDownload[] {
    const downloads = [...this.running].filter(({ link }) => link.id === linkId) as LinkDownload[];
    this.followed.set(linkId, downloads);
    return downloads;
  }

  unfollow(linkId: string): void {
    this.followed.delete(linkId);
  }

  /** Resolves once none runs, or after `patience` milliseconds. */
  async none(patience: number): Promise<void> {
    if (this.running.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, patience);
        this.noneRuns = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  revoked({ name, issuedBefore }: Revocation): void {
    this.generation += 1;
    for (const download of this.running) {
      if (download.link.issuedAt < issuedBefore && download.names.includes(name)) {
        download.revoked();
      }
    }
  }

  missed(): void {
    this.hearing = true;
    void this.recheck();
  }

  /** Revocations by other nodes are not heard of: running downloads are looked up instead. */
  interrupted(reason: unknown): void {
    this.logger.error(
      'revocations',
      `Revocations by other processes are not heard of (${errorReason(reason)}). ` +
        'Running downloads are looked up every second instead.',
    );
    if (this.hearing) {
      this.hearing = false;
      void this.recheck();
    }
  }

  /** Stops looking up. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async recheck(): Promise<void> {
    this.generation += 1;
    const done = await this.cutRevoked().then(
      () => true,
      () => false,
    );
    clearTimeout(this.timer);
    if (!this.stopped && !(done && this.hearing)) {
      this.timer = setTimeout(() => void this.recheck(), RECHECK_AFTER).unref();
    }
  }

  private async cutRevoked(): Promise<void> {
    const links = new Map<string, RunningDownload[]>();
    for (const download of this.running) {
      const { id } = download.link;
      links.set(id, [...(links.get(id) ?? []), download]);
    }
    const waiting = [...links.values()];
    while (waiting.length > 0) {
      const looks = waiting.splice(0, LOOKS_AT_ONCE).map(async (downloads) => {
        if (await this.isRevoked(downloads[0]!)) {
          downloads.forEach((download) => download.revoked());
        }
      });
      await Promise.all(looks);
    }
  }
}
