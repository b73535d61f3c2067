import type { DeliveryWatch } from '../delivery/watch.js';
import type { Claimant } from '../events/claimant.js';
import type { DownloadEventSink } from '../events/download-event.js';
import type { FollowedLink } from '../events/link-messages.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { checkOptions } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { checkLinkId } from '../shared/link-id.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import { clientKey, fingerprint, leaseOfCookie } from './client.js';
import type { LeaseClient } from './client.js';
import { CountedDelivery, refuseRevoked } from './counted-delivery.js';
import type { AdmittedRequest, LeasedLink } from './counted-delivery.js';
import { LookedAtLink } from './followed-link.js';
import { mayJoin, REASONS } from './lease.js';
import { LeaseBook } from './lease-book.js';
import type { RecordDecision } from './lease-book.js';
import type { LeaseServices } from './lease-request.js';
import type { LeaseStore, LinkState } from './lease-store.js';
import { linkOf, recordsOf } from './link-knowledge.js';
import { PAGE_RULES, usageOf } from './link-usage.js';
import type { LinkUsage, UsagePage } from './link-usage.js';
import { MemoryLeaseStore } from './memory/memory.store.js';
import { resolveLeaseOptions } from './options.js';
import type { LeaseOptions } from './options.js';
import { revocationNames, revocationOf } from './revocation.js';
import type { LinkRevocation } from './revocation.js';
import { RunningDownloads } from './running.js';
import { StoreCalls } from './store-calls.js';
import { WatchedDelivery } from './watched-delivery.js';

/** How far the clocks of two machines may differ before it is logged, ms. */
const CLOCKS_DIFFER = 2000;

/** How long after the server has closed its connections report that they broke, ms. */
const LAST_ENDS_WITHIN = 2000;

/** Decides whether a link may be used now, counts its downloads, and cuts those of revoked links. */
export class LeaseKeeper {
  private readonly store: LeaseStore;
  private readonly services: LeaseServices;
  private readonly logger = new ThrottledLogger('DownloadAuth', 30_000);
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
  async admit(link: LeasedLink, client: LeaseClient): Promise<CountedDelivery> {
    const { book, calls, clock, running } = this.services;
    const admitted = this.describe(link, client);
    const now = clock();
    const expired = now >= link.expiresAt;
    if (now >= admitted.booking.endsAt) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    const { generation } = running;
    const records = admitted.belonging ? recordsOf(admitted.belonging) : [];
    const look = () => book.read(link.id, records, admitted.names);
    const seen = await (admitted.needsStore || expired ? calls.required(look) : calls.optional(look));
    if (seen) {
      this.checkClock(seen, now);
      refuseRevoked(admitted, seen);
      refuseUsedUp(admitted, seen, expired);
    }
    return new CountedDelivery(this.services, admitted, generation, seen);
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
    const isWatched = claimant.subject !== undefined || this.services.events?.observed;
    return isWatched ? new WatchedDelivery(this.services, claimant) : undefined;
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

  private describe(link: LeasedLink, client: LeaseClient): AdmittedRequest {
    const { options } = this.services;
    const { maxDownloads, resumeWithin = options.resumeWithin, strict = options.strict } = link;
    const leased = maxDownloads !== undefined || resumeWithin > 0;
    const needsRecord = maxDownloads !== undefined || link.revocable === true;
    return {
      link,
      client,
      names: revocationNames(link),
      needsStore: needsRecord || options.failClosed,
      booking: {
        linkId: link.id,
        maxDownloads,
        issuedAt: needsRecord ? link.issuedAt : undefined,
        endsAt: this.endOf(link),
        // A film that stood still for hours, or was seen to its end, plays on
        terms:
          resumeWithin > 0 ? { ...options.terms, idle: options.terms.life, playsOn: true } : options.terms,
      },
      belonging: leased
        ? {
            presented: leaseOfCookie(link.id, client.leaseCookie),
            client: strict ? undefined : this.clientKey(client),
          }
        : undefined,
    };
  }

  private clientKey(client: LeaseClient): string | undefined {
    const { clientKey: own } = this.services.options;
    if (!own) {
      return clientKey(client);
    }
    const key = own(client);
    // Hashed, as the application's key may be an address
    return key === undefined ? undefined : fingerprint('client', key);
  }

  /** A clock that is behind the store makes new links look older than the store, so they are refused. */
  private checkClock({ since }: LinkState, now: number): void {
    if (since > now + CLOCKS_DIFFER) {
      const [known, here] = [since, now].map((moment) => new Date(moment).toISOString());
      this.logger.error(
        'clock',
        `The lease store was created at ${known}, but here it is ${here}: this clock was set back, or differs from ` +
          'the one that made the store. Limited and revocable links issued until then are refused with 410.',
      );
    }
  }
}

/**
 * @throws DownloadRefusal LINK_EXPIRED, LINK_USED_UP where no download is open to join, and none can be
 * opened
 */
function refuseUsedUp(
  { booking, belonging = {} }: AdmittedRequest,
  state: LinkState,
  expired: boolean,
): void {
  const { maxDownloads, terms } = booking;
  const known = linkOf(state);
  if (mayJoin(known, belonging, terms)) {
    return;
  }
  if (expired) {
    throw new DownloadRefusal('LINK_EXPIRED', { reason: REASONS.closed });
  }
  if (maxDownloads !== undefined && known.used >= maxDownloads) {
    throw new DownloadRefusal('LINK_USED_UP', { reason: REASONS.usedUp });
  }
}
