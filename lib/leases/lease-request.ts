import { type ByteInterval, type DeliveryOutcome, type PlannedDelivery } from '../delivery/delivery-watch.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import { ByteCredit, firstCredit } from './byte-credit.js';
import { fingerprint } from './fingerprint.js';
import { bytesIn, type IntervalSet, NO_INTERVALS, union, withInterval } from './interval-set.js';
import { leaseCookieName, leaseOfCookie, newLeaseCookieValue } from './lease-cookie.js';
import { type AdmittedRequest, type KeeperContext } from './keeper-context.js';
import { uniqueName } from './random.js';
import { type AcquireAnswer, type AcquireRequest, type ExtendRequest } from './lease-store.js';

/**
 * Milliseconds for which records are kept beyond the moment they are last needed, so that machines
 * whose clocks differ by less never see a link afresh.
 */
export const RECORD_MARGIN = 10 * 60 * 1000;

export type GrantedAnswer = Extract<AcquireAnswer, { granted: number }>;

/** One request under a lease: what it sent, what it may still send, and what the store knows of it. */
export class LeaseRequest {
  private readonly credit: ByteCredit;
  private unreported: IntervalSet = NO_INTERVALS;
  /** Reported, but not yet answered: told again at the end, as an interval may be told twice. */
  private unanswered: IntervalSet = NO_INTERVALS;
  private reportedAt: number;
  private reporting = false;
  private failing = false;
  private over = false;

  private constructor(
    private readonly context: KeeperContext,
    private readonly linkId: string,
    private readonly name: string,
    total: number,
    readonly answer: GrantedAnswer,
    private readonly cut: (code: RefusalCode) => void,
  ) {
    const budget = context.budgets.join(answer.lease);
    this.credit = new ByteCredit(total, answer.granted, answer.left, budget);
    this.reportedAt = context.clock();
  }

  /**
   * Joins or opens the lease under which `plan` may be carried out. Undefined for a link that is
   * not limited while the store does not answer.
   *
   * @param cut called when the lease's bytes are used up
   * @throws DownloadRefusal LINK_EXPIRED, LINK_USED_UP, STORE_UNAVAILABLE
   */
  static async acquire(
    context: KeeperContext,
    admitted: AdmittedRequest,
    plan: PlannedDelivery,
    cut: (code: RefusalCode) => void,
  ): Promise<LeaseRequest | undefined> {
    const cookie = newLeaseCookieValue();
    const request = acquireRequest(context, admitted, plan, cookie);
    const mayResume = plan.status === 206 && (plan.ifRangeMatched || plan.etag !== undefined);
    if (!request.mayOpen && !mayResume) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    const answer = await acquireFrom(context, request, admitted.needsStore || !request.mayOpen);
    if (!answer) {
      return undefined;
    }
    if (!('granted' in answer)) {
      throw new DownloadRefusal(answer.kind === 'used-up' ? 'LINK_USED_UP' : 'LINK_EXPIRED');
    }
    if (answer.kind === 'opened') {
      admitted.client.setCookie?.({
        name: leaseCookieName(admitted.link.id),
        value: cookie,
        httpOnly: true,
        sameSite: 'lax',
        path: admitted.client.path ?? '/',
        maxAge: Math.ceil(context.options.terms.life / 1000),
      });
    }
    return new LeaseRequest(context, admitted.link.id, request.request, bytesOf(plan), answer, cut);
  }

  sent(start: number, end: number): void {
    this.unreported = withInterval(this.unreported, start, end);
    this.credit.spend(end - start);
    if (this.credit.exhausted) {
      this.cut('LINK_USED_UP');
    } else if (!this.reporting && this.hasToReport()) {
      void this.report();
    }
  }

  /** Ends the request, once. `done` is told whether the lease became complete by it. */
  release(outcome: DeliveryOutcome, done?: (completed: boolean) => void): void {
    if (this.over) {
      return;
    }
    this.over = true;
    const { context, linkId, name, answer, credit } = this;
    credit.close();
    const unconfirmed = intervalSet(outcome.unconfirmed);
    context.budgets.leave(answer.lease);
    context.settlements.settle(
      {
        now: context.clock(),
        linkId,
        lease: answer.lease,
        request: name,
        sent: credit.sent + bytesIn(unconfirmed),
        covered: union(this.unanswered, this.unreported),
        unconfirmed: unconfirmed.length > 0 ? unconfirmed : undefined,
        whole: outcome.completed,
        keep: keepFor(context),
      },
      ({ completed }) => done?.(completed),
    );
  }

  private hasToReport(): boolean {
    const { clock, options } = this.context;
    return (this.credit.low && !this.failing) || clock() - this.reportedAt >= options.reportEvery;
  }

  private async report(): Promise<void> {
    const { credit } = this;
    const total = credit.target;
    this.reporting = true;
    this.reportedAt = this.context.clock();
    this.unanswered = union(this.unanswered, this.unreported);
    this.unreported = NO_INTERVALS;
    try {
      const { found, granted, left } = await this.context.store.extend(this.extension(total));
      this.unanswered = NO_INTERVALS;
      this.failing = false;
      // A store that lost its memory has no say any more: the request ends at its plan in any case.
      credit.answered(found ? granted : Infinity, total, left);
    } catch {
      // A download that was counted goes on while the store is away; what it sent is told later.
      this.failing = true;
    } finally {
      this.reporting = false;
    }
    if (credit.exhausted && !this.over) {
      this.cut('LINK_USED_UP');
    }
  }

  private extension(total: number): ExtendRequest {
    const { context, linkId, name: request, answer, credit, unanswered: covered } = this;
    const { terms } = context.options;
    const [now, keep] = [this.reportedAt, keepFor(context)];
    return { now, linkId, lease: answer.lease, request, total, sent: credit.sent, covered, terms, keep };
  }
}

function acquireRequest(
  { clock, options }: KeeperContext,
  { link, lease, clientKey, resumeWithin }: AdmittedRequest,
  plan: PlannedDelivery,
  cookie: string,
): AcquireRequest {
  const now = clock();
  const { length } = plan;
  const budget =
    link.byteBudget ?? (length === undefined ? undefined : Math.ceil(length * options.byteBudget));
  const mayOpen = now < link.expiresAt;
  return {
    now,
    linkId: link.id,
    lease: leaseOfCookie(link.id, cookie)!,
    request: uniqueName(),
    presented: lease,
    client: clientKey,
    maxDownloads: link.maxDownloads,
    mayOpen,
    sameVersion: !mayOpen && !plan.ifRangeMatched,
    version: plan.etag === undefined ? undefined : fingerprint(plan.etag),
    length,
    from: plan.intervals[0]?.start,
    budget,
    bytes: firstCredit(bytesOf(plan)),
    terms: options.terms,
    keep: Math.max(link.expiresAt + resumeWithin - now, options.terms.idle) + RECORD_MARGIN,
  };
}

/** Undoes what comes too late to be used, and what may have been done unheard. */
async function acquireFrom(
  context: KeeperContext,
  request: AcquireRequest,
  required: boolean,
): Promise<AcquireAnswer | undefined> {
  const undo = (lease: string) => {
    const { linkId, request: name, now, keep } = request;
    context.settlements.settle({
      now,
      linkId,
      lease,
      request: name,
      sent: 0,
      covered: [],
      whole: false,
      keep,
    });
  };
  const call = () => context.store.acquire(request);
  const late = (answer: AcquireAnswer) => 'lease' in answer && undo(answer.lease);
  try {
    return required ? await context.calls.required(call, late) : await context.calls.optional(call, late);
  } catch (error) {
    undo(request.lease);
    throw error;
  }
}

function bytesOf(plan: PlannedDelivery): number {
  return plan.length === undefined
    ? Infinity
    : plan.intervals.reduce((bytes, { start, end }) => bytes + end - start, 0);
}

function intervalSet(intervals: readonly ByteInterval[] = []): IntervalSet {
  return intervals.reduce((set, { start, end }) => withInterval(set, start, end), NO_INTERVALS);
}

function keepFor({ options }: KeeperContext): number {
  return options.terms.idle + RECORD_MARGIN;
}
