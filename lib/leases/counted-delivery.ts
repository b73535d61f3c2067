import type { DeliveryOutcome, DeliveryWatch, PlannedDelivery } from '../delivery/watch.js';
import type { DownloadEventSink } from '../events/download-event.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { LINK_OLDER_THAN_STORE } from '../refusals/refusals.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { firstCredit } from './byte-credit.js';
import { fingerprint, leaseCookieName, leaseCookieValue, leaseId, randomText } from './client.js';
import type { LeaseClient } from './client.js';
import { deliveryEvents, sendsBody } from './delivery-events.js';
import type { DeliveryEvents } from './delivery-events.js';
import type { Belonging, Entering } from './lease.js';
import { LeaseRequest, nothingSent, undoable } from './lease-request.js';
import type { LeaseServices } from './lease-request.js';
import { recordsOf } from './lease-book.js';
import type { LeaseName, LeaseTerms } from './lease-record.js';
import type { Look } from './link-knowledge.js';
import type { RunningDownloads } from './running.js';

/** What the keeper needs to know of a link whose signature was found good. */
export interface LeasedLink {
  /** The link's `jti`. */
  readonly id: string;
  readonly subject?: string;
  /** What the link opens, in a spelling that is always the same. */
  readonly resource: string;
  /**
   * Milliseconds since the epoch. Whole seconds do not suffice: a link issued in the second of a revocation
   * or of the start of a store, but after it, would count as issued before.
   */
  readonly issuedAt: number;
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
export interface AdmittedRequest {
  readonly link: LeasedLink;
  readonly client: LeaseClient;
  /** The names under which its link may be revoked. */
  readonly names: readonly string[];
  /** Its uses are recorded: it is limited, or may be resumed after its expiry. */
  readonly leased: boolean;
  /** It is refused while the store does not answer. */
  readonly needsStore: boolean;
  /** It is refused if the store was created after it was issued. */
  readonly needsRecord: boolean;
  readonly resumeWithin: number;
  readonly terms: LeaseTerms;
  readonly belonging: Belonging;
}

export interface DeliveryServices extends LeaseServices {
  readonly running: RunningDownloads;
  readonly events?: DownloadEventSink;
}

/**
 * Watches the delivery that answers an admitted request: opens or joins a lease when the answer is decided,
 * counts what is sent, and breaks the connection when the link is revoked or the byte budget is used up.
 * Serves one delivery.
 */
export class CountedDelivery implements DeliveryWatch {
  reason?: string;
  private readonly controller = new AbortController();
  private lease?: LeaseRequest;
  private cutBy?: RefusalCode;
  private plan?: PlannedDelivery;
  private leave?: () => void;
  private events?: DeliveryEvents;

  /**
   * @param generation of the running downloads, when the link was looked up
   * @param seen what that look found
   */
  constructor(
    private readonly services: DeliveryServices,
    private readonly request: AdmittedRequest,
    private readonly generation: number,
    private readonly seen?: Look,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Offloaded bytes cannot be counted. */
  get countsBytes(): boolean {
    return this.request.leased;
  }

  /**
   * @throws DownloadRefusal LINK_EXPIRED, LINK_REVOKED, LINK_USED_UP, LINK_BUSY, STORE_UNAVAILABLE
   * @throws DownloadAuthConfigurationError where a limited link redirects
   */
  async planned(plan: PlannedDelivery): Promise<void> {
    if (plan.delegated === 'redirect') {
      return this.redirected();
    }
    if (!sendsBody(plan)) {
      this.reason = 'not counted: no body is sent';
      return;
    }
    const { link, client, names, leased } = this.request;
    this.plan = plan;
    this.leave = this.services.running.add({
      linkId: link.id,
      issuedAt: link.issuedAt,
      names,
      cut: () => this.cut('LINK_REVOKED', 'link revoked'),
    });
    try {
      await this.recheck();
      if (leased) {
        const cut = (code: RefusalCode, reason: string) => this.cut(code, reason);
        this.lease = await enterLease(this.services, this.request, plan, this.seen, cut);
        this.reason ??= this.lease?.entry.reason ?? 'not counted: the store does not answer';
      } else {
        this.refuseExpired();
        this.reason ??= 'not counted: link without a limit';
      }
      this.refuseIfCut();
    } catch (error) {
      this.leave();
      this.plan = undefined;
      throw error;
    }
    const { id: linkId, subject, resource, maxDownloads } = link;
    const about = { linkId, subject, resource, path: client.path, maxDownloads };
    this.events = deliveryEvents(this.services, about, plan, this.lease?.entry);
  }

  grant(bytes: number): number | Promise<number> {
    return this.lease ? this.lease.grant(bytes) : bytes;
  }

  sent(start: number, end: number): void {
    this.lease?.sent(start, end);
  }

  ended(outcome: DeliveryOutcome): void {
    if (!this.plan) {
      return;
    }
    this.plan = undefined;
    this.leave?.();
    if (!outcome.completed) {
      this.events?.aborted(outcome, this.cutBy);
    }
    if (this.lease) {
      this.lease.end(outcome, (completed) => completed && this.events?.completed(outcome));
    } else if (outcome.completed) {
      this.events?.completed(outcome);
    }
  }

  private async redirected(): Promise<void> {
    if (this.request.link.maxDownloads !== undefined) {
      throw new DownloadAuthConfigurationError(
        'Download.redirect() under a link with maxDownloads: what another server sends cannot be counted. ' +
          'Return Download.source(), which reads from that server, or mint the link without maxDownloads.',
      );
    }
    await this.recheck();
    this.refuseExpired();
    this.reason = 'not counted: redirect';
  }

  private refuseExpired(): void {
    if (this.services.clock() >= this.request.link.expiresAt) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
  }

  /** Looks the link up again where revocations were heard of, or missed, while the handler ran. */
  private async recheck(): Promise<void> {
    const { running, book, calls } = this.services;
    if (running.generation === this.generation) {
      return;
    }
    const { link, names, needsStore } = this.request;
    const look = () => book.look(link.id, names);
    const found = await (needsStore ? calls.required(look) : calls.optional(look));
    if (found) {
      refuseRevoked(this.request, found);
    }
  }

  /** A revocation may have arrived while the lease was acquired. */
  private refuseIfCut(): void {
    if (this.cutBy) {
      this.lease?.end({ status: 0, completed: false, bytes: 0 });
      throw new DownloadRefusal(this.cutBy, { reason: this.reason });
    }
  }

  private cut(code: RefusalCode, reason: string): void {
    if (!this.cutBy) {
      this.cutBy = code;
      this.reason = `cut: ${reason}`;
    }
    this.controller.abort(new DownloadRefusal(code, { reason: this.reason }));
  }
}

/**
 * @throws DownloadRefusal LINK_REVOKED, LINK_USED_UP for a link that is revoked, or older than the store's
 * record
 */
export function refuseRevoked({ link, needsRecord }: AdmittedRequest, { state }: Look): void {
  if (link.issuedAt < state.revokedBefore) {
    throw new DownloadRefusal('LINK_REVOKED');
  }
  if (needsRecord && link.issuedAt < state.since) {
    // 410 and not 503: the store will not know later either
    throw new DownloadRefusal(link.maxDownloads === undefined ? 'LINK_REVOKED' : 'LINK_USED_UP', {
      message: LINK_OLDER_THAN_STORE,
      reason: 'link older than the record of the store',
    });
  }
}

const REFUSED = { 'used-up': 'LINK_USED_UP', closed: 'LINK_EXPIRED', busy: 'LINK_BUSY' } as const;

/**
 * Joins or opens the lease under which `plan` may be carried out. Undefined for an unlimited link while the
 * store does not answer.
 *
 * @throws DownloadRefusal LINK_EXPIRED, LINK_USED_UP, LINK_BUSY, STORE_UNAVAILABLE
 */
async function enterLease(
  services: LeaseServices,
  admitted: AdmittedRequest,
  plan: PlannedDelivery,
  seen: Look | undefined,
  cut: (code: RefusalCode, reason: string) => void,
): Promise<LeaseRequest | undefined> {
  const { book, clock, calls, settlements } = services;
  const { link, resumeWithin, terms, needsStore } = admitted;
  const secret = randomText(18);
  const request = entering(services, admitted, plan, leaseId(link.id, secret));
  if (!request.mayOpen && !(plan.status === 206 && (plan.ifRangeMatched || plan.etag !== undefined))) {
    throw new DownloadRefusal('LINK_EXPIRED', {
      reason: 'after its expiry only ranges of one version are sent',
    });
  }
  const keep = Math.max(link.expiresAt + resumeWithin - clock(), terms.idle);
  const booking = { linkId: link.id, keep, limited: link.maxDownloads !== undefined, terms };
  const undo = () =>
    settlements.settle(nothingSent(booking, recordsOf(request, request.lease), request.request));
  const enter = () => book.enter(booking, request, seen);
  let entered = false;
  book.stay(link.id);
  try {
    const entry = await undoable(calls, enter, undo, needsStore || !request.mayOpen);
    if (!entry) {
      return undefined;
    }
    if (!('granted' in entry)) {
      throw new DownloadRefusal(REFUSED[entry.kind], { reason: entry.reason });
    }
    entered = true;
    if (entry.kind === 'opened') {
      setCookie(services, admitted, entry.lease, secret);
    }
    return new LeaseRequest(services, booking, request, bytesOf(plan), entry, cut);
  } finally {
    if (!entered) {
      book.leave(link.id);
    }
  }
}

function entering(
  { clock, options }: LeaseServices,
  { link, belonging, terms }: AdmittedRequest,
  plan: PlannedDelivery,
  lease: string,
): Entering {
  const { length } = plan;
  const total = bytesOf(plan);
  const mayOpen = clock() < link.expiresAt;
  return {
    ...belonging,
    lease,
    request: randomText(9),
    maxDownloads: link.maxDownloads,
    mayOpen,
    sameVersion: !mayOpen && !plan.ifRangeMatched,
    version: plan.etag === undefined ? undefined : fingerprint(plan.etag),
    length,
    from: plan.intervals[0]?.start,
    budget: link.byteBudget ?? (length === undefined ? undefined : Math.ceil(length * options.byteBudget)),
    bytes: firstCredit(total),
    planned: total === Infinity ? 0 : total,
    terms,
  };
}

function bytesOf({ length, intervals }: PlannedDelivery): number {
  return length === undefined
    ? Infinity
    : intervals.reduce((bytes, { start, end }) => bytes + end - start, 0);
}

function setCookie(
  { clock, options }: LeaseServices,
  request: AdmittedRequest,
  lease: LeaseName,
  secret: string,
): void {
  const { link, client, resumeWithin } = request;
  const usable = Math.min(options.terms.life, link.expiresAt + resumeWithin - clock());
  client.setCookie?.({
    name: leaseCookieName(link.id),
    value: leaseCookieValue(lease, secret),
    httpOnly: true,
    sameSite: 'lax',
    path: client.path ?? '/',
    maxAge: Math.max(1, Math.ceil(usable / 1000)),
  });
}
