import { randomUUID } from 'node:crypto';
import type { DeliveryOutcome, PlannedDelivery } from '../delivery/watch.js';
import type { LinkProgress } from '../events/link-messages.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { LINK_OLDER_THAN_STORE } from '../refusals/refusals.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { clientKey, leaseCookieName, leaseCookieValue, leaseId, leaseOfCookie } from './client.js';
import type { LeaseClient } from './client.js';
import { NO_INTERVALS } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import { hasLeft, isForgotten, mayJoin, REASONS } from './lease.js';
import type { Belonging, Booking, Entering, Granted } from './lease.js';
import { LeaseRequest, SMALLEST_STEP } from './lease-request.js';
import type { LinkState } from './lease-store.js';
import { linkOf, recordsOf } from './link-knowledge.js';
import { revocationNames } from './revocation.js';
import type { Revocable } from './revocation.js';
import type { LinkDownload } from './running.js';
import { sendsBody, WatchedDelivery } from './watched-delivery.js';
import type { LeaseServices } from './watched-delivery.js';

/** What the keeper needs to know of a link whose signature was found good. */
export interface LeasedLink extends Revocable {
  /** Milliseconds since the epoch; the link is expired from this moment on. */
  readonly expiresAt: number;
  /** How many downloads it is good for; unlimited if absent. */
  readonly maxDownloads?: number;
  /** Refused while the store cannot say whether it was revoked. Other unlimited links are served then. */
  readonly revocable?: boolean;
  /** Only the lease cookie makes a request part of a download, not the client's address. */
  readonly strict?: boolean;
  /** Milliseconds after its expiry within which a download that had begun may go on. */
  readonly resumeWithin?: number;
  /** Bytes that one download may send, instead of a multiple of the length. */
  readonly byteBudget?: number;
}

/** Counts the answers of this process, to tell those without a lease apart. */
let answers = 0;

/**
 * Watches one delivery under a link: opens or joins a lease when the answer is decided, counts what is sent,
 * and breaks the connection when the byte budget is used up.
 */
export class CountedDelivery extends WatchedDelivery implements LinkDownload {
  /** The link is limited, or may be resumed after its expiry. Offloaded bytes cannot be counted. */
  readonly countsBytes: boolean;
  /** It is refused while the store does not answer. */
  private readonly needsStore: boolean;
  private readonly booking: Booking;
  private readonly belonging: Belonging;
  /** Of the running downloads, when the link was looked up, and what that look found. */
  private generation = 0;
  private seen?: LinkState;
  private lease?: LeaseRequest;
  /** What was decided, once it has begun, the last byte that was sent, and whether it has ended. */
  private plan?: PlannedDelivery;
  private position = 0;
  private state: 'progress' | 'completed' | 'aborted' = 'progress';
  private readonly began = ++answers;

  constructor(
    services: LeaseServices,
    override readonly link: LeasedLink,
    private readonly client: LeaseClient,
  ) {
    const { id: linkId, subject, resource, maxDownloads } = link;
    super(services, { linkId, subject, resource, path: client.path }, link, revocationNames(link));
    const { options } = services;
    const { terms } = options;
    const { resumeWithin = options.resumeWithin, strict = options.strict } = link;
    const needsRecord = maxDownloads !== undefined || link.revocable === true;
    this.needsStore = needsRecord || options.failClosed;
    this.countsBytes = maxDownloads !== undefined || resumeWithin > 0;
    this.booking = {
      linkId,
      maxDownloads,
      issuedAt: needsRecord ? link.issuedAt : undefined,
      endsAt: link.expiresAt + resumeWithin,
      // A film that stood still for hours, or was seen to its end, plays on
      terms: resumeWithin > 0 ? { ...terms, idle: terms.life, playsOn: true } : terms,
    };
    this.belonging = {
      presented: this.countsBytes ? leaseOfCookie(linkId, client.leaseCookie) : undefined,
      client: this.countsBytes && !strict ? clientKey(client, options.clientKey) : undefined,
    };
  }

  /**
   * The guard's step: whether the link may be used now.
   *
   * @throws DownloadRefusal LINK_EXPIRED, LINK_REVOKED, LINK_USED_UP, STORE_UNAVAILABLE
   */
  async admit(): Promise<this> {
    const { booking, belonging } = this;
    const now = this.services.clock();
    if (now >= booking.endsAt) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    this.generation = this.services.running.generation;
    const isExpired = now >= this.link.expiresAt;
    this.seen = await this.look(this.countsBytes ? recordsOf(belonging) : [], isExpired);
    const known = this.seen && linkOf(this.seen);
    const isClosed = known && !mayJoin(known, belonging, booking.terms);
    if (isClosed && isExpired) {
      throw new DownloadRefusal('LINK_EXPIRED', { reason: REASONS.closed });
    }
    if (isClosed && !hasLeft(known, booking)) {
      throw new DownloadRefusal('LINK_USED_UP', { reason: REASONS.usedUp });
    }
    return this;
  }

  /**
   * @throws DownloadRefusal LINK_EXPIRED, LINK_REVOKED, LINK_USED_UP, LINK_BUSY, STORE_UNAVAILABLE
   * @throws DownloadAuthConfigurationError where a limited link redirects
   */
  override async planned(plan: PlannedDelivery): Promise<void> {
    if (plan.reason === 'redirect') {
      return this.redirected();
    }
    if (!sendsBody(plan)) {
      this.reason = 'not counted: no body is sent';
      return;
    }
    this.services.running.add(this);
    try {
      await this.recheck();
      const counted = this.countsBytes ? await this.enter(plan) : this.uncounted('link without a limit');
      // A revocation may have arrived while the lease was acquired
      if (this.cutBy) {
        this.lease?.end({ status: 0, completed: false, bytes: 0 });
        throw new DownloadRefusal(this.cutBy, { reason: this.reason });
      }
      this.plan = plan;
      this.begin(plan, counted, this.booking.maxDownloads);
    } catch (error) {
      this.state = 'aborted';
      this.services.running.delete(this);
      throw error;
    }
  }

  grant(bytes: number): number | Promise<number> {
    return this.lease ? this.lease.grant(bytes) : bytes;
  }

  sent(start: number, end: number): void {
    this.position = end;
    this.lease?.sent(start, end);
  }

  override ended(outcome: DeliveryOutcome): void {
    this.state = outcome.completed ? 'completed' : 'aborted';
    if (!this.lease) {
      super.ended(outcome);
      return;
    }
    this.services.running.delete(this);
    if (!outcome.completed) {
      this.tell('aborted', outcome);
    }
    this.lease.end(outcome, this.cutBy, () => this.tell('completed', outcome));
  }

  get isOver(): boolean {
    return this.state !== 'progress';
  }

  get progress(): LinkProgress | undefined {
    const { plan, lease, position, state: type, cutBy: code } = this;
    if (!plan || lease) {
      return undefined;
    }
    const { length } = plan;
    const bytes = type === 'completed' ? (length ?? position) : position;
    return { id: `${this.began}`, type, bytes, length, code };
  }

  sentUnder(leaseId: string): IntervalSet {
    return this.lease?.sentUnder(leaseId) ?? NO_INTERVALS;
  }

  private async redirected(): Promise<void> {
    if (this.link.maxDownloads !== undefined) {
      throw new DownloadAuthConfigurationError(
        'Download.redirect() under a link with maxDownloads: what another server sends cannot be counted. ' +
          'Return Download.source(), which reads from that server, or mint the link without maxDownloads.',
      );
    }
    await this.recheck();
    this.uncounted('redirect');
  }

  private uncounted(reason: string): undefined {
    if (this.services.clock() >= this.link.expiresAt) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    this.reason ??= `not counted: ${reason}`;
  }

  /** Looks the link up again where revocations were heard of, or missed, while the handler ran. */
  private async recheck(): Promise<void> {
    if (this.services.running.generation !== this.generation) {
      await this.look([]);
    }
  }

  /**
   * What the store knows of the link; undefined where it does not answer, and the link does without.
   *
   * @throws DownloadRefusal for a link that is revoked, or older than the store where that matters
   */
  private async look(records: readonly string[], isNeeded = false): Promise<LinkState | undefined> {
    const { book, calls } = this.services;
    const { link, names } = this;
    const state = await calls.ask(this.needsStore || isNeeded, () => book.read(link.id, records, names));
    if (state && link.issuedAt < state.revokedBefore) {
      throw new DownloadRefusal('LINK_REVOKED');
    }
    if (state && isForgotten(state, this.booking)) {
      // 410 and not 503: the store will not know later either
      throw new DownloadRefusal(link.maxDownloads === undefined ? 'LINK_REVOKED' : 'LINK_USED_UP', {
        message: LINK_OLDER_THAN_STORE,
        reason: REASONS.olderThanStore,
      });
    }
    return state;
  }

  /**
   * Joins or opens a lease; undefined for an unlimited link while the store does not answer.
   *
   * @throws DownloadRefusal LINK_EXPIRED, LINK_USED_UP, LINK_BUSY, STORE_UNAVAILABLE
   */
  private async enter(plan: PlannedDelivery): Promise<Granted | undefined> {
    const { services, link, booking } = this;
    const { book, calls } = services;
    const secret = randomUUID();
    const request = this.entering(plan, leaseId(link.id, secret));
    if (!request.mayOpen && !(plan.status === 206 && (plan.ifRangeMatched || plan.etag !== undefined))) {
      throw new DownloadRefusal('LINK_EXPIRED', { reason: REASONS.onlyParts });
    }
    const isNeeded = this.needsStore || !request.mayOpen;
    const undo = () => {
      const told = { request: request.request, sent: 0, covered: NO_INTERVALS };
      calls.eventually(() => book.report(booking, recordsOf(request), told));
    };
    book.stay(link.id);
    try {
      const decided = await calls.ask(isNeeded, () => book.enter(booking, request, this.seen), undo);
      if (!decided) {
        this.reason ??= 'not counted: the store does not answer';
        return undefined;
      }
      if (!('lease' in decided)) {
        throw new DownloadRefusal(decided.kind, { reason: decided.reason });
      }
      if (decided.kind === 'opened') {
        this.setCookie(leaseCookieValue(decided.lease.client, secret));
      }
      this.reason ??= decided.reason;
      this.lease = new LeaseRequest(services, booking, request, decided.lease, this);
      return decided;
    } finally {
      if (!this.lease) {
        book.leave(link.id);
      }
    }
  }

  private entering(plan: PlannedDelivery, request: string): Entering {
    const { clock, options } = this.services;
    const { status, length, etag, intervals, ifRangeMatched } = plan;
    const mayOpen = clock() < this.link.expiresAt;
    const planned =
      length === undefined ? 0 : intervals.reduce((bytes, { start, end }) => bytes + end - start, 0);
    const { byteBudget = length && Math.ceil(length * options.byteBudget) } = this.link;
    return {
      ...this.belonging,
      request,
      mayOpen,
      sameVersion: !mayOpen && !ifRangeMatched,
      isPart: status === 206,
      version: etag,
      length,
      from: intervals[0]?.start,
      budget: byteBudget,
      bytes: Math.min(planned || Infinity, SMALLEST_STEP),
      planned,
    };
  }

  private setCookie(value: string): void {
    const { link, client, booking } = this;
    const usable = Math.min(booking.terms.life, booking.endsAt - this.services.clock());
    const maxAge = Math.max(1, Math.ceil(usable / 1000));
    client.setCookie?.({ name: leaseCookieName(link.id), value, path: client.path ?? '/', maxAge });
  }
}
