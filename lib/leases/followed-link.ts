import type { FollowedLink, LinkProgress } from '../events/link-messages.js';
import { bytesIn, union } from './interval-set.js';
import type { Lease } from './lease-record.js';
import type { LinkState } from './lease-store.js';
import { linkOf } from './link-knowledge.js';
import { ofLink } from './revocation.js';
import type { LinkDownload } from './running.js';
import type { LeaseServices } from './watched-delivery.js';

/** A download that sent nothing for so long is not taken for running, ms: its node may be gone. */
const SILENT_FOR = 60_000;

const NOTHING_BEGUN: LinkProgress = { id: 'none', type: 'waiting', bytes: 0 };

/**
 * Looks at the latest download of a link: in the store, where each node reports how far its downloads are,
 * and at what runs on this node. A download that runs is looked at until it ends, whatever else begins.
 */
export class LookedAtLink implements FollowedLink {
  /** Those of this node that run, and the one that began last. */
  private readonly downloads: LinkDownload[];
  private running?: Lease;
  private last = NOTHING_BEGUN;

  constructor(
    private readonly services: LeaseServices,
    private readonly linkId: string,
  ) {
    this.downloads = services.running.follow(linkId);
  }

  /** @throws DownloadRefusal STORE_UNAVAILABLE */
  async look(): Promise<LinkProgress> {
    const { downloads } = this;
    const latest = downloads.at(-1);
    downloads.splice(0, Infinity, ...downloads.filter((one) => !one.isOver || one === latest));
    const uncounted = latest?.progress;
    const state = await this.read(uncounted === undefined);
    const progress = uncounted ?? (state && this.inRecords(state)) ?? NOTHING_BEGUN;
    const isRevoked = (state && state.revokedBefore > 0) || progress.code === 'LINK_REVOKED';
    this.last = isRevoked ? { ...progress, type: 'revoked', code: 'LINK_REVOKED' } : progress;
    return this.last;
  }

  stop(): void {
    this.services.running.unfollow(this.linkId);
  }

  private read(isNeeded: boolean): Promise<LinkState | undefined> {
    const { book, calls } = this.services;
    const records = this.running ? [this.running.client] : 'all';
    return calls.ask(isNeeded, () => book.read(this.linkId, records, [ofLink(this.linkId)]));
  }

  private inRecords(state: LinkState): LinkProgress | undefined {
    const isRunning = (lease: Lease) => lease.running !== undefined && state.now < lease.seenAt + SILENT_FOR;
    const lease = this.latest(linkOf(state).leases, isRunning);
    this.running = lease && isRunning(lease) ? lease : undefined;
    if (!lease) {
      return undefined;
    }
    const { length, served, completedAt, cut: code } = lease;
    const id = `${lease.id.slice(0, 8)}.${served}`;
    const sent = this.downloads.map((one) => one.sentUnder(lease.id)).reduce(union, lease.covered);
    // What has ended here and is just being reported is in neither
    const bytes = Math.max(bytesIn(sent), id === this.last.id ? this.last.bytes : 0);
    const ended = completedAt === undefined ? 'aborted' : 'completed';
    return { id, type: this.running ? 'progress' : ended, bytes, length, code };
  }

  private latest(leases: readonly Lease[], isRunning: (lease: Lease) => boolean): Lease | undefined {
    const { running } = this;
    const candidates = running ? leases.filter(({ id }) => id === running.id) : leases;
    const byLatest = candidates.toSorted((a, b) => b.seenAt - a.seenAt);
    return byLatest.find(isRunning) ?? byLatest[0];
  }
}
