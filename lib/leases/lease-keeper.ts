import { type DownloadEventSink } from '../events/download-event.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import { errorReason } from '../shared/error-reason.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import { CountedDelivery } from './counted-delivery.js';
import { clientKey } from './client-key.js';
import { fingerprint } from './fingerprint.js';
import { type AdmittedRequest, type KeeperContext } from './keeper-context.js';
import { leaseOfCookie } from './lease-cookie.js';
import { type LeaseClient, type LeasedLink, linkKeys } from './lease-link.js';
import { type LeaseOptions, resolveLeaseOptions } from './lease-options.js';
import { mayJoin } from './lease.js';
import { LeaseBook, needsOf } from './lease-book.js';
import { type LinkState } from './lease-store.js';
import { type Look } from './link-knowledge.js';
import { type LinkUsage, usagePage, type UsagePage } from './link-usage.js';
import { MemoryLeaseStore } from './memory/memory.store.js';
import { type Revocable } from './revocation.js';
import { revocationOf, type RevocationTarget } from './revocation-target.js';
import { RunningDownloads } from './running-downloads.js';
import { Settlements } from './settlements.js';
import { StoreCalls } from './store-calls.js';
import { StoreHealth } from './store-health.js';

/** How often running downloads are looked up while revocations cannot be heard of, ms. */
const RECHECK_AFTER = 1000;

/** How far the clocks of two machines differ without a word, ms. */
const CLOCKS_DIFFER = 2000;

/** Milliseconds in which a connection that was broken off says so. */
const LAST_ENDS_WITHIN = 2000;

/**
 * Decides whether a link may be used now, counts its downloads, and cuts those of revoked links.
 * Knows no framework: the guard calls {@link admit}, the delivery is watched by what that answers.
 */
export class LeaseKeeper {
  private readonly context: KeeperContext;
  private readonly health: StoreHealth;
  private unsubscribe?: () => void;
  private recheckTimer?: NodeJS.Timeout;
  private hearing = true;
  private readonly logger = new ThrottledLogger('DownloadAuth', 30_000);

  /**
   * @param clock milliseconds since the epoch
   * @throws TypeError for options that cannot be meant
   */
  constructor(options: LeaseOptions = {}, clock: () => number = Date.now, events?: DownloadEventSink) {
    const resolved = resolveLeaseOptions(options);
    const { storeTimeout, failClosed } = resolved;
    this.health = new StoreHealth({ storeTimeout, failClosed, clock, events });
    const store = this.health.watch(resolved.store ?? new MemoryLeaseStore());
    const book = new LeaseBook(store, clock, storeTimeout);
    this.context = {
      store,
      book,
      options: resolved,
      clock,
      events,
      calls: new StoreCalls(storeTimeout, clock),
      settlements: new Settlements(book),
      running: new RunningDownloads(),
    };
  }

  /** To be called once, before the first request. Rejects for what a programmer has to mend. */
  async start(): Promise<void> {
    const { store, clock, options } = this.context;
    await store.open(clock(), { timeout: options.storeTimeout });
    this.health.start(() => this.revokedBefore({ linkId: '', resource: '' }));
    this.unsubscribe = store.subscribe({
      revoked: (revocation) => this.context.running.revoked(revocation),
      missed: () => this.heard(),
      interrupted: (reason) => this.notHeard(reason),
    });
  }

  /**
   * To be called before {@link close}, when the server has closed: one that breaks its connections off does so before
   * their responses hear of it. Waits until no download runs here any more, 2 seconds at most.
   */
  ended(): Promise<void> {
    return this.context.running.none(LAST_ENDS_WITHIN);
  }

  /** To be called when the application ends: tells the store what is still to be told, and closes it. */
  async close(): Promise<void> {
    clearTimeout(this.recheckTimer);
    this.health.stop();
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    await this.context.calls.optional(() => this.settled());
    this.context.settlements.close();
    await this.context.store.close();
  }

  /**
   * The guard's step, after the link's signature, scope and binding were found good and before the
   * handler runs. The answer watches the delivery, and only there a download is counted. An expired
   * link passes here if a download of it that had begun may go on.
   *
   * @throws DownloadRefusal LINK_EXPIRED, LINK_REVOKED, LINK_USED_UP, PREFETCH_REFUSED, STORE_UNAVAILABLE
   */
  async admit(link: LeasedLink, client: LeaseClient): Promise<CountedDelivery> {
    const request = this.describe(link, client);
    const now = this.context.clock();
    const expired = now >= link.expiresAt;
    if (expired && now >= link.expiresAt + request.resumeWithin) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    const { generation } = this.context.running;
    const look = () => this.look(request);
    const seen =
      request.needsStore || expired
        ? await this.context.calls.required(look)
        : await this.context.calls.optional(look);
    if (seen) {
      this.checkClock(seen.state, now);
    }
    const refusal = seen && refusalOf(request, seen.state, expired);
    if (refusal) {
      throw new DownloadRefusal(...refusal);
    }
    if (client.prefetch && link.maxDownloads !== undefined) {
      throw new DownloadRefusal('PREFETCH_REFUSED');
    }
    return new CountedDelivery(this.context, request, generation, request.leased ? seen : undefined);
  }

  /**
   * Refuses a link that could still be used when its revocation is forgotten.
   *
   * @param life milliseconds for which the link is good
   * @param resumeWithin milliseconds for which a download may go on after that; default: the option
   * @throws DownloadAuthConfigurationError
   */
  checkLife(life: number, resumeWithin: number = this.context.options.resumeWithin): void {
    if (life + resumeWithin <= this.context.options.maxLinkLife) return;
    throw new DownloadAuthConfigurationError(
      'The link would outlive its revocation: leases.maxLinkLife must be at least the life of the link plus its resumeWithin.',
    );
  }

  /**
   * Withdraws links, and cuts their running downloads: here at once, elsewhere within a second.
   *
   * @throws DownloadRefusal STORE_UNAVAILABLE; then downloads were cut here, but nothing is recorded
   */
  async revoke(target: RevocationTarget): Promise<void> {
    const { clock, options, running, calls, store, events } = this.context;
    const now = clock();
    const revocation = revocationOf(target, now, options.maxLinkLife);
    running.revoked(revocation);
    await calls.required(() => store.revoke(revocation, now));
    // Again, for those that were admitted before the store knew and began after the first look.
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

  /**
   * Waits until the store has heard of every download that has ended, as far as it answers. Answers
   * how many it has not heard of.
   */
  settled(): Promise<number> {
    return this.context.settlements.flush();
  }

  /**
   * How a link has been used so far, on all nodes.
   *
   * @throws DownloadRefusal STORE_UNAVAILABLE
   * @throws DownloadAuthConfigurationError for a page that cannot be meant
   */
  async usage(linkId: string, page: UsagePage = {}): Promise<LinkUsage> {
    const { context } = this;
    return usagePage(page, (query) => context.calls.required(() => context.store.list({ linkId, ...query })));
  }

  /** Downloads that run on this node. */
  get running(): number {
    return this.context.running.size;
  }

  private describe(link: LeasedLink, client: LeaseClient): AdmittedRequest {
    const { options } = this.context;
    const resumeWithin = link.resumeWithin ?? options.resumeWithin;
    const leased = link.maxDownloads !== undefined || resumeWithin > 0;
    const strict = link.strict ?? options.strict;
    const needsRecord = link.maxDownloads !== undefined || link.revocable === true;
    return {
      link,
      client,
      keys: linkKeys(link),
      leased,
      needsStore: needsRecord || options.failClosed,
      needsRecord,
      resumeWithin,
      // A video that stood still for hours plays on
      terms: resumeWithin > 0 ? { ...options.terms, idle: options.terms.life } : options.terms,
      lease: leaseOfCookie(link.id, client.leaseCookie),
      clientKey: leased && !strict ? this.clientKey(client) : undefined,
    };
  }

  private clientKey(client: LeaseClient): string | undefined {
    const { clientKey: own } = this.context.options;
    if (!own) {
      return clientKey(client);
    }
    const key = own(client);
    // The store is to know nobody's address, whatever the application makes of it
    return key === undefined ? undefined : fingerprint('client', key);
  }

  private look({ keys, leased, lease, clientKey }: AdmittedRequest): Promise<Look> {
    const needs = leased ? needsOf({ presented: lease, client: clientKey }) : undefined;
    return this.context.book.look(keys, needs);
  }

  private async revokedBefore(keys: Omit<Revocable, 'issuedAt'>): Promise<number> {
    return (await this.context.book.look(keys)).state.revokedBefore;
  }

  /** New links are refused then as if they were old, which nothing else explains. */
  private checkClock({ since }: LinkState, now: number): void {
    if (since > now + CLOCKS_DIFFER) {
      const [known, here] = [since, now].map((moment) => new Date(moment).toISOString());
      this.logger.error(
        'clock',
        `The lease store remembers since ${known}, but here it is ${here}: this clock was set back, or differs from ` +
          'the one that made the store. Limited and revocable links issued until then are refused with 410.',
      );
    }
  }

  /** The subscription stands, but something may have been missed before it did. */
  private heard(): void {
    this.hearing = true;
    void this.recheck();
  }

  /** No revocation of another node is heard of: what runs is looked up again and again meanwhile. */
  private notHeard(reason: unknown): void {
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

  private async recheck(): Promise<void> {
    const { running, calls } = this.context;
    const isRevoked = async (keys: Revocable) =>
      keys.issuedAt < (await calls.required(() => this.revokedBefore(keys)));
    const done = await running.recheck(isRevoked).then(
      () => true,
      () => false,
    );
    clearTimeout(this.recheckTimer);
    if (this.unsubscribe && !(done && this.hearing)) {
      this.recheckTimer = setTimeout(() => void this.recheck(), RECHECK_AFTER).unref();
    }
  }
}

function refusalOf(
  { link, needsRecord, lease, clientKey, terms }: AdmittedRequest,
  state: LinkState,
  expired: boolean,
): [RefusalCode, { message: string }?] | undefined {
  if (link.issuedAt < state.revokedBefore) {
    return ['LINK_REVOKED'];
  }
  if (link.issuedAt < state.since && needsRecord) {
    // 410 and not 503: the store will not remember later either.
    return link.maxDownloads === undefined ? ['LINK_REVOKED', FORGOTTEN] : ['LINK_USED_UP', FORGOTTEN];
  }
  const used = state.link?.used ?? 0;
  const known = { now: state.now, used, leases: state.leases };
  if (mayJoin(known, { presented: lease, client: clientKey }, terms)) {
    return undefined;
  }
  if (expired) {
    return ['LINK_EXPIRED'];
  }
  return link.maxDownloads !== undefined && used >= link.maxDownloads ? ['LINK_USED_UP'] : undefined;
}

const FORGOTTEN = {
  message: 'This download link is older than the record of its use, and cannot be used any more.',
};
