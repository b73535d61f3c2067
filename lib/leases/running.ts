import { Bag } from '../shared/bag.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { LinkProgress } from '../events/link-messages.js';
import type { IntervalSet } from './interval-set.js';
import type { RevocationListener } from './lease-store.js';
import type { Revocable, Revocation } from './revocation.js';

/** A link, and the names under which it may be revoked. */
export interface NamedLink {
  readonly link: Pick<Revocable, 'id' | 'issuedAt'>;
  readonly names: readonly string[];
}

interface RunningDownload extends NamedLink {
  /** Breaks the connection. */
  readonly cut: () => void;
  readonly answer?: LocalAnswer;
}

/** An answer of this node, for those who follow its link. */
export interface LocalAnswer {
  /** How far it is, and how it ended; undefined where it has a lease, which says so. */
  readonly progress: LinkProgress | undefined;
  /** What it sent, if it runs under this lease. */
  sentUnder(leaseId: string): IntervalSet;
}

/** The answers of one link on this node. */
export interface LocalAnswers {
  readonly running: Set<LocalAnswer>;
  /** The one that began last, even if it has ended. */
  latest?: LocalAnswer;
}

/** How many links are looked up at a time. */
const LOOKS_AT_ONCE = 32;

/** How often running downloads are looked up while revocations cannot be heard of, ms. */
const RECHECK_AFTER = 1000;

/** The downloads that run on this node. Cuts them when their link is revoked, here or elsewhere. */
export class RunningDownloads implements RevocationListener {
  private readonly running = new Bag<RunningDownload>();
  private readonly followed = new Map<string, LocalAnswers>();
  private readonly logger = new ThrottledLogger('DownloadAuth', 30_000);
  private notices = 0;
  private hearing = true;
  private timer?: NodeJS.Timeout;
  private stopped = false;
  private waiting: (() => void)[] = [];

  /** @param isRevoked asks the store */
  constructor(private readonly isRevoked: (named: NamedLink) => Promise<boolean>) {}

  /** Changes whenever a revocation was heard of, or may have been missed: then links are looked up again. */
  get generation(): number {
    return this.notices;
  }

  get size(): number {
    return this.running.size;
  }

  /**
   * @param cut called when the link is revoked
   * @param answer for those who follow the link
   */
  add({ link, names }: NamedLink, cut: () => void, answer?: LocalAnswer): () => void {
    const download = { link, names, cut, answer };
    this.running.add(download);
    const followed = this.followed.get(link.id);
    if (followed && answer) {
      followed.running.add(answer);
      followed.latest = answer;
    }
    return () => {
      this.running.delete(download);
      this.followed.get(link.id)?.running.delete(answer!);
      this.tellWhetherNone();
    };
  }

  /** The answers of a link, kept up to date until it is {@link unfollow}ed. */
  follow(linkId: string): LocalAnswers {
    const found = [...this.running].filter(({ link }) => link.id === linkId).map(({ answer }) => answer!);
    const answers = { running: new Set(found), latest: found.at(-1) };
    this.followed.set(linkId, answers);
    return answers;
  }

  unfollow(linkId: string): void {
    this.followed.delete(linkId);
  }

  /** Resolves once none runs, or after `patience` milliseconds. */
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

  revoked({ name, issuedBefore }: Revocation): void {
    this.notices += 1;
    for (const download of this.running) {
      if (download.link.issuedAt < issuedBefore && download.names.includes(name)) {
        download.cut();
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
    this.notices += 1;
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
