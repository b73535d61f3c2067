import type { DeliveryWatch } from '../delivery/watch.js';
import type { Claimant } from '../events/claimant.js';
import type { DownloadEventSink } from '../events/download-event.js';
import type { FollowedLink } from '../events/link-messages.js';
import { checkOptions } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { checkLinkId } from '../shared/link-id.js';
import type { LeaseClient } from './client.js';
import { CountedDelivery } from './counted-delivery.js';
import type { LeasedLink } from './counted-delivery.js';
import { LookedAtLink } from './followed-link.js';
import { LeaseBook } from './lease-book.js';
import type { RecordDecision } from './lease-book.js';
import type { LeaseStore } from './lease-store.js';
import { PAGE_RULES, usageOf } from './link-usage.js';
import type { LinkUsage, UsagePage } from './link-usage.js';
import { MemoryLeaseStore } from './memory/memory.store.js';
import { resolveLeaseOptions } from './options.js';
import type { LeaseOptions } from './options.js';
import { ofSubject, revocationOf } from './revocation.js';
import type { LinkRevocation } from './revocation.js';
import { RunningDownloads } from './running.js';
import { StoreCalls } from './store-calls.js';
import { WatchedDelivery } from './watched-delivery.js';
import type { LeaseServices } from './watched-delivery.js';

/** How long after the server has closed its connections report that they broke, ms. */
const LAST_ENDS_WITHIN = 2000;

/** Decides whether a link may be used now, counts its downloads, and cuts those of revoked links. */
export class LeaseKeeper {
  private readonly store: LeaseStore;
  private readonly services: LeaseServices;
  private unsubscribe?: () => void;

  /**
   * @param clock milliseconds since the epoch
   * @throws DownloadAuthConfigurationError for options that cannot work
   */
  constructor(options: LeaseOptions = {}, clock: () => number = Date.now, events?: DownloadEventSink) {
    const resolved = resolveLeaseOptions(options);
    this.store = resolved.store ?? new MemoryLeaseStore();
    const book = new LeaseBook(this.store, clock, resolved.storeTimeout);
    const probe = () => book.read('', []);
    const calls = new StoreCalls({ ...resolved, clock, events, probe });
    const running = new RunningDownloads(async ({ link, names }) => {
      const { revokedBefore } = await calls.required(() => book.read(link.id, [], names));
      return link.issuedAt < revokedBefore;
    });
    this.services = { book, calls, running, options: resolved, clock, events };
  }

  /** To be called once, before the first request. Rejects only for a programmer's mistake. */
  async start(): Promise<void> {
    const { clock, options, running } = this.services;
    await this.store.open(clock(), options.storeTimeout);
    this.unsubscribe = this.store.subscribe(running);
  }

  /** Resolves when no download runs here any more, after 2 seconds at most; once the server has closed. */
  ended(): Promise<void> {
    return this.services.running.none(LAST_ENDS_WITHIN);
  }

  /** To be called when the application ends: reports to the store what is left to report, and closes it. */
  async close(): Promise<void> {
    const { calls, running } = this.services;
    running.stop();
    this.unsubscribe?.();
    await calls.end();
    await this.store.close();
  }

  /**
   * The guard's step, after the link's signature, scope and binding were found good and before the handler
   * runs. Nothing is counted yet. A link that has expired passes if a download of it may go on.
   *
   * @throws DownloadRefusal LINK_EXPIRED, LINK_REVOKED, LINK_USED_UP, STORE_UNAVAILABLE
   */
  admit(link: LeasedLink, client: LeaseClient): Promise<CountedDelivery> {
    return new CountedDelivery(this.services, link, client).admit();
  }

  /**
   * Changes a record of a link that is not about its leases. The link ends at `endsAt`, ms since the epoch.
   *
   * @throws DownloadRefusal STORE_UNAVAILABLE
   */
  changeRecord<T>(
    link: { linkId: string; endsAt: number; id: string },
    decide: RecordDecision<T>,
  ): Promise<T> {
    const { book, calls, options } = this.services;
    return calls.required(() => book.change({ ...link, terms: options.terms }, link.id, decide));
  }

  /** Milliseconds since the epoch until which a link may be used or resumed. */
  endOf({ expiresAt, resumeWithin = this.services.options.resumeWithin }: LeasedLink): number {
    return expiresAt + resumeWithin;
  }

  /** Watches a download without a link. Undefined where there is nothing to watch. */
  watch(claimant: Claimant): DeliveryWatch | undefined {
    const { clock, events } = this.services;
    const { subject } = claimant;
    if (subject === undefined && !events?.observed) {
      return undefined;
    }
    const issuedAt = clock();
    const names = subject === undefined ? [] : [ofSubject(subject)];
    return new WatchedDelivery(
      this.services,
      claimant,
      { id: `${names.join()} ${issuedAt}`, issuedAt },
      names,
    );
  }

  /**
   * Refuses to mint a link that could still be used when its revocation is forgotten.
   *
   * @throws DownloadAuthConfigurationError
   */
  checkLife(link: LeasedLink): void {
    const { clock, options } = this.services;
    if (this.endOf(link) - clock() > options.maxLinkLife) {
      throw new DownloadAuthConfigurationError(
        'The link would outlive its revocation: leases.maxLinkLife must be at least the life of the link plus its resumeWithin.',
      );
    }
  }

  /**
   * Withdraws links, and cuts their running downloads: here at once, elsewhere within a second.
   *
   * @throws DownloadRefusal STORE_UNAVAILABLE; then downloads were cut here, but nothing is recorded
   */
  async revoke(target: LinkRevocation): Promise<void> {
    const { clock, options, running, calls, events } = this.services;
    const now = clock();
    const revocation = revocationOf(target, now, options.maxLinkLife);
    running.revoked(revocation);
    await calls.required(async () => this.store.revoke(revocation, now));
    // Again, for those that were admitted before the store knew, and began after the first look
    running.revoked(revocation);
    events?.emit({
      type: 'revoked',
      at: now,
      linkId: target.link,
      resource: target.resource,
      subject: target.subject,
      issuedBefore: target.link === undefined ? revocation.issuedBefore : undefined,
    });
  }

  /** Resolves when the store was asked to take the reports of all downloads that have ended. */
  settled(): Promise<void> {
    return this.services.calls.settled();
  }

  /**
   * How a link has been used so far, on all nodes.
   *
   * @throws DownloadRefusal STORE_UNAVAILABLE
   * @throws DownloadAuthConfigurationError for what cannot be an id, or a page that cannot be asked for
   */
  async usage(linkId: string, page: UsagePage = {}): Promise<LinkUsage> {
    checkLinkId(linkId, 'links.usage');
    checkOptions(page, PAGE_RULES, 'links.usage', 'links.usage: ');
    const { book, calls } = this.services;
    return usageOf(await calls.required(() => book.list(linkId)), page);
  }

  /** For `DownloadEvents.of()`. */
  follow(linkId: string): FollowedLink {
    return new LookedAtLink(this.services, linkId);
  }

  /** Downloads that run on this node. */
  get running(): number {
    return this.services.running.size;
  }
}
