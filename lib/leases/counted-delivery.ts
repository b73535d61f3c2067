import { randomUUID } from 'node:crypto';
import type { DeliveryOutcome, PlannedDelivery } from '../delivery/watch.js';
import type { LinkProgress } from '../events/link-messages.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { LINK_OLDER_THAN_STORE } from '../refusals/refusals.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { firstCredit } from './byte-credit.js';
import { leaseCookieName, leaseCookieValue, leaseId } from './client.js';
import type { LeaseClient } from './client.js';
import type { Belonging, Booking, Entering, Granted } from './lease.js';
import type { Lease } from './lease-record.js';
import { LeaseRequest } from './lease-request.js';
import type { LeaseServices } from './lease-request.js';
import type { LinkState } from './lease-store.js';
import { NO_INTERVALS } from './interval-set.js';
import type { IntervalSet } from './interval-set.js';
import { recordsOf } from './link-knowledge.js';
import type { Revocable } from './revocation.js';
import type { LocalAnswer, NamedLink } from './running.js';
import { sendsBody, WatchedDelivery } from './watched-delivery.js';

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

/** A request that the keeper admitted. */
export interface AdmittedRequest extends NamedLink {
  readonly link: LeasedLink;
  readonly client: LeaseClient;
  /** It is refused while the store does not answer. */
  readonly needsStore: boolean;
  readonly booking: Booking;
  /** Absent where its uses are not recorded: it has no limit, and may not be resumed after its expiry. */
  readonly belonging?: Belonging;
}

/** Counts the answers of this process, to tell those without a lease apart. */
let answers = 0;

/**
 * Watches one delivery under a link: opens or joins a lease when the answer is decided, counts what is sent,
 * and breaks the connection when the byte budget is used up.
 */
export class CountedDelivery extends WatchedDelivery implements LocalAnswer {
  private lease?: LeaseRequest;
  /** What was decided, once it has begun, the last byte that was sent, and how it ended. */
  private plan?: PlannedDelivery;
  private position = 0;
  private outcome?: DeliveryOutcome;
  private readonly began = ++answers;

  /**
   * @param generation of the running downloads, when the link was looked up
   * @param seen what that look found
   */
  constructor(
    services: LeaseServices,
    private readonly admitted: AdmittedRequest,
    private readonly generation: number,
    private readonly seen?: LinkState,
  ) {
    const { id: linkId, subject, resource } = admitted.link;
    super(services, { linkId, subject, resource, path: admitted.client.path });
  }

  /** Offloaded bytes cannot be counted. */
  get countsBytes(): boolean {
    return this.admitted.belonging !== undefined;
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
    this.cutIfRevoked(this.admitted, this);
    try {
      await this.recheck();
      const counted = this.countsBytes ? await this.enter(plan) : this.uncounted('link without a limit');
      // A revocation may have arrived while the lease was acquired
      if (this.cutBy) {
        this.lease?.end({ status: 0, completed: false, bytes: 0 });
        throw new DownloadRefusal(this.cutBy, { reason: this.reason });
      }
      this.plan = plan;
      this.begin(plan, counted, this.admitted.booking.maxDownloads);
    } catch (error) {
      this.leave?.();
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

  get progress(): LinkProgress | undefined {
    const { plan, lease, outcome, cutBy: code } = this;
    if (!plan || lease) {
      return undefined;
    }
    const { length } = plan;
    const about = { id: `${this.began}`, length, code };
    if (outcome?.completed) {
      return { ...about, type: 'completed', bytes: length ?? this.position };
    }
    return { ...about, type: outcome ? 'aborted' : 'progress', bytes: this.position };
  }

  sentUnder(leaseId: string): IntervalSet {
    return this.lease?.sentUnder(leaseId) ?? NO_INTERVALS;
  }

  override ended(outcome: DeliveryOutcome): void {
    this.outcome = outcome;
    if (!this.lease) {
      super.ended(outcome);
      return;
    }
    this.leave?.();
    if (!outcome.completed) {
      this.tell('aborted', outcome);
    }
    this.lease.end(outcome, this.cutBy, () => this.tell('completed', outcome));
  }

  private async redirected(): Promise<void> {
    if (this.admitted.link.maxDownloads !== undefined) {
      throw new DownloadAuthConfigurationError(
        'Download.redirect() under a link with maxDownloads: what another server sends cannot be counted. ' +
          'Return Download.source(), which reads from that server, or mint the link without maxDownloads.',
      );
    }
    await this.recheck();
    this.uncounted('redirect');
  }

  private uncounted(reason: string): undefined {
    if (this.services.clock() >= this.admitted.link.expiresAt) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    this.reason ??= `not counted: ${reason}`;
  }

  /** Looks the link up again where revocations were heard of, or missed, while the handler ran. */
  private async recheck(): Promise<void> {
    const { running, book, calls } = this.services;
    if (running.generation === this.generation) {
      return;
    }
    const { link, names, needsStore } = this.admitted;
    const look = () => book.read(link.id, [], names);
    const found = await (needsStore ? calls.required(look) : calls.optional(look));
    if (found) {
      refuseRevoked(this.admitted, found);
    }
  }

  /**
   * Joins or opens a lease; undefined for an unlimited link while the store does not answer.
   *
   * @throws DownloadRefusal LINK_EXPIRED, LINK_USED_UP, LINK_BUSY, STORE_UNAVAILABLE
   */
  private async enter(plan: PlannedDelivery): Promise<Granted | undefined> {
    const { book, calls } = this.services;
    const { link, booking, needsStore } = this.admitted;
    const secret = randomUUID();
    const request = this.entering(plan, leaseId(link.id, secret));
    if (!request.mayOpen && !(plan.status === 206 && (plan.ifRangeMatched || plan.etag !== undefined))) {
      throw new DownloadRefusal('LINK_EXPIRED', {
        reason: 'after its expiry only ranges of one version are sent',
      });
    }
    const enter = () => book.enter(booking, request, this.seen);
    const undo = () => {
      const told = { request: request.request, sent: 0, covered: [] };
      const records = recordsOf(request);
      calls.eventually(() => book.report(booking, records, told));
    };
    book.stay(link.id);
    try {
      const required = needsStore || !request.mayOpen;
      const decided = await (required ? calls.required(enter, undo) : calls.optional(enter, undo));
      if (!decided) {
        this.reason ??= 'not counted: the store does not answer';
        return undefined;
      }
      if (!('granted' in decided)) {
        throw new DownloadRefusal(decided.kind, { reason: decided.reason });
      }
      if (decided.kind === 'opened') {
        this.setCookie(decided.lease, secret);
      }
      this.reason ??= decided.reason;
      const cut = (code: RefusalCode, reason: string) => this.cut(code, reason);
      this.lease = new LeaseRequest(this.services, booking, request.request, bytesOf(plan), decided, cut);
      return decided;
    } finally {
      if (!this.lease) {
        book.leave(link.id);
      }
    }
  }

  private entering(plan: PlannedDelivery, request: string): Entering {
    const { clock, options } = this.services;
    const { link, belonging } = this.admitted;
    const { status, length, etag, intervals } = plan;
    const total = bytesOf(plan);
    const mayOpen = clock() < link.expiresAt;
    return {
      ...belonging,
      request,
      mayOpen,
      sameVersion: !mayOpen && !plan.ifRangeMatched,
      isPart: status === 206,
      version: etag,
      length,
      from: intervals[0]?.start,
      budget: link.byteBudget ?? (length === undefined ? undefined : Math.ceil(length * options.byteBudget)),
      bytes: firstCredit(total),
      planned: total === Infinity ? 0 : total,
    };
  }

  private setCookie(lease: Lease, secret: string): void {
    const { clock, options } = this.services;
    const { link, client, booking } = this.admitted;
    const usable = Math.min(options.terms.life, booking.endsAt - clock());
    client.setCookie?.({
      name: leaseCookieName(link.id),
      value: leaseCookieValue(lease.client, secret),
      path: client.path ?? '/',
      maxAge: Math.max(1, Math.ceil(usable / 1000)),
    });
  }
}

/** @throws DownloadRefusal for a link that is revoked, or older than the store where that matters */
export function refuseRevoked({ link, booking }: AdmittedRequest, { revokedBefore, since }: LinkState): void {
  if (link.issuedAt < revokedBefore) {
    throw new DownloadRefusal('LINK_REVOKED');
  }
  if (booking.issuedAt !== undefined && booking.issuedAt < since) {
    // 410 and not 503: the store will not know later either
    throw new DownloadRefusal(link.maxDownloads === undefined ? 'LINK_REVOKED' : 'LINK_USED_UP', {
      message: LINK_OLDER_THAN_STORE,
      reason: 'link older than the record of the store',
    });
  }
}

function bytesOf({ length, intervals }: PlannedDelivery): number {
  return length === undefined
    ? Infinity
    : intervals.reduce((bytes, { start, end }) => bytes + end - start, 0);
}
