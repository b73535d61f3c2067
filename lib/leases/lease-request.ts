import { type ByteInterval, type DeliveryOutcome, type PlannedDelivery } from '../delivery/watch.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import { ByteCredit, firstCredit } from './byte-credit.js';
import { type AdmittedRequest, type KeeperContext } from './keeper-context.js';
import { fingerprint } from './fingerprint.js';
import { bytesIn, type IntervalSet, NO_INTERVALS, union, withInterval } from './interval-set.js';
import { type Belonging, type Entering, type Entry } from './lease.js';
import { bytesLeft } from './lease-record.js';
import { type Booking, type EndingAnswer, type ProgressAnswer } from './lease-book.js';
import { leaseCookieName, leaseOfCookie, newLeaseCookieValue } from './lease-cookie.js';
import { type Look } from './link-knowledge.js';
import { randomText, uniqueName } from './random.js';
import { type Settlement } from './settlements.js';

export type Granted = Extract<Entry, { granted: number }>;

/** The longest that a timer of Node runs. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** One request under a lease: what it sent, what it may still send, and what the store knows of it. */
export class LeaseRequest {
  private readonly credit: ByteCredit;
  /** The lease that it runs under now, and the bytes it had taken under those before. */
  private lease: string;
  private before = 0;
  private sentBytes = 0;
  private unreported: IntervalSet = NO_INTERVALS;
  /** Reported, but not yet answered: told again at the end, as an interval may be told twice. */
  private unanswered: IntervalSet = NO_INTERVALS;
  private reportedAt: number;
  private reporting?: Promise<void>;
  private failing = false;
  private exhausted = false;
  private over = false;
  /** Bytes of the budget that nobody was granted, by the latest answer. */
  private left: number;
  private lifeTimer?: NodeJS.Timeout;

  private constructor(
    private readonly context: KeeperContext,
    private readonly booking: Booking,
    private readonly name: string,
    private readonly total: number,
    private readonly maxDownloads: number | undefined,
    readonly answer: Granted,
    private readonly cut: (code: RefusalCode) => void,
  ) {
    this.lease = answer.id;
    this.credit = new ByteCredit(total, answer.granted);
    this.left = bytesLeft(answer.lease) ?? Infinity;
    this.reportedAt = context.clock();
    this.endAt(answer.lease.openedAt + context.options.terms.life);
  }

  /**
   * Joins or opens the lease under which `plan` may be carried out. Undefined for a link that is not limited while the
   * store does not answer.
   *
   * @param seen what the guard found out about the link
   * @param cut called when the lease's bytes or its time are used up
   * @throws DownloadRefusal LINK_EXPIRED, LINK_USED_UP, LINK_BUSY, STORE_UNAVAILABLE
   */
  static async acquire(
    context: KeeperContext,
    admitted: AdmittedRequest,
    plan: PlannedDelivery,
    seen: Look | undefined,
    cut: (code: RefusalCode) => void,
  ): Promise<LeaseRequest | undefined> {
    const cookie = newLeaseCookieValue();
    const { link } = admitted;
    const request = entering(context, admitted, plan, cookie);
    const mayResume = plan.status === 206 && (plan.ifRangeMatched || plan.etag !== undefined);
    if (!request.mayOpen && !mayResume) {
      throw new DownloadRefusal('LINK_EXPIRED');
    }
    const booking = bookingOf(context, admitted);
    const required = admitted.needsStore || !request.mayOpen;
    context.book.stay(link.id);
    let entry: Entry | undefined;
    try {
      entry = await enterBook(context, booking, request, seen, required);
    } finally {
      if (!entry || !('granted' in entry)) {
        context.book.leave(link.id);
      }
    }
    if (!entry) {
      return undefined;
    }
    if (!('granted' in entry)) {
      throw new DownloadRefusal(REFUSED[entry.kind]);
    }
    const total = bytesOf(plan);
    const leased = new LeaseRequest(context, booking, request.request, total, link.maxDownloads, entry, cut);
    if (entry.kind === 'opened') {
      setCookie(context, admitted, cookie);
    }
    return leased;
  }

  /** How many of the next bytes may be written; 0 where the download is cut. */
  grant(bytes: number): number | Promise<number> {
    const { credit } = this;
    const taken = this.over ? 0 : credit.take(bytes);
    if (taken === 0 && bytes > 0) {
      return this.waitFor(bytes);
    }
    if (credit.low && !this.reporting && !this.failing) {
      void this.report();
    }
    return taken;
  }

  sent(start: number, end: number): void {
    this.unreported = withInterval(this.unreported, start, end);
    this.sentBytes += end - start;
    if (!this.reporting && !this.over && this.isTimeToReport) {
      void this.report();
    }
  }

  /** Ends the request, once. `done` is told whether the lease became complete by it. */
  release(outcome: DeliveryOutcome, done?: (completed: boolean) => void): void {
    if (this.over) {
      return;
    }
    this.over = true;
    clearTimeout(this.lifeTimer);
    const { context, booking, reporting } = this;
    const told = ({ completed }: EndingAnswer) => done?.(completed);
    if (reporting) {
      // What is under way may change the lease that the request runs under
      const later = reporting.then(() => this.ending(outcome));
      context.settlements.settleLater(later, told);
    } else {
      context.settlements.settle(this.ending(outcome), told);
    }
    context.book.leave(booking.linkId);
  }

  private ending(outcome: DeliveryOutcome): Settlement {
    const { booking, name: request, lease } = this;
    const unconfirmed = intervalSet(outcome.unconfirmed);
    const report = {
      request,
      sent: Math.max(0, this.sentBytes + bytesIn(unconfirmed) - this.before),
      covered: union(this.unanswered, this.unreported),
      unconfirmed: unconfirmed.length > 0 ? unconfirmed : undefined,
      whole: outcome.completed,
    };
    return { booking, lease, report };
  }

  private async waitFor(bytes: number): Promise<number> {
    while (!this.over && !this.exhausted) {
      if (this.failing && !this.isTimeToReport) {
        this.drawOn();
      } else {
        await (this.reporting ?? this.report());
      }
      const taken = this.over ? 0 : this.credit.take(bytes);
      if (taken > 0) {
        return taken;
      }
    }
    if (!this.over) {
      this.cut('LINK_USED_UP');
    }
    return 0;
  }

  private report(): Promise<void> {
    return (this.reporting ??= this.ask().finally(() => (this.reporting = undefined)));
  }

  private async ask(): Promise<void> {
    const { credit } = this;
    const { book, calls } = this.context;
    const total = credit.target;
    this.reportedAt = this.context.clock();
    this.unanswered = union(this.unanswered, this.unreported);
    this.unreported = NO_INTERVALS;
    try {
      const report = {
        request: this.name,
        total: total - this.before,
        sent: Math.max(0, this.sentBytes - this.before),
        covered: this.unanswered,
      };
      const answer = await calls.required(() => book.progress(this.booking, this.lease, report));
      this.failing = false;
      this.unanswered = NO_INTERVALS;
      this.takeIn(answer, total);
      if (answer.found && credit.isSpent) {
        await this.goOn();
      }
    } catch {
      // A download that was counted goes on while the store is away; what it sent is told later.
      this.failing = true;
      this.drawOn();
    }
  }

  private get isTimeToReport(): boolean {
    const { clock, options } = this.context;
    return clock() - this.reportedAt >= options.reportEvery;
  }

  /** Goes on, while the store does not answer, with what was left of the budget when it last did. */
  private drawOn(): void {
    if (this.credit.isSpent) {
      this.left -= this.credit.draw(this.left);
      this.exhausted = this.credit.isSpent;
    }
  }

  private takeIn({ found, granted, left }: ProgressAnswer, total: number): void {
    // A store that lost its memory has no say any more: the request ends at its plan in any case.
    this.credit.answered(found ? granted + this.before : Infinity, total);
    this.left = left ?? Infinity;
  }

  /** The lease has nothing left: charges a further one, where the link has one. */
  private async goOn(): Promise<void> {
    const { credit, context } = this;
    const { taken } = credit;
    const ahead = this.total - taken;
    const bytes = Math.min(ahead, credit.target - taken);
    const { booking, lease: from } = this;
    const report = {
      request: this.name,
      lease: randomText(18),
      maxDownloads: this.maxDownloads,
      sent: taken - this.before,
      covered: this.unanswered,
      bytes,
      planned: ahead === Infinity ? 0 : ahead,
      terms: booking.terms,
    };
    const undo = () => giveBack(context, booking, report.lease, this.name);
    const call = () => context.book.goOn(booking, from, report);
    const answer = await context.calls.required(call, undo).catch((error: unknown) => {
      undo();
      throw error;
    });
    if (!answer.found || answer.lease === undefined || answer.granted === 0) {
      this.exhausted = true;
      return;
    }
    this.lease = answer.lease;
    this.before = taken;
    this.takeIn(answer, taken + bytes);
    this.endAt(context.book.now() + context.options.terms.life);
  }

  /** Cuts the download when the life of its lease is over. */
  private endAt(moment: number): void {
    clearTimeout(this.lifeTimer);
    const left = moment - this.context.book.now();
    if (left <= 0) {
      this.cut('LINK_USED_UP');
      return;
    }
    this.lifeTimer = setTimeout(() => this.endAt(moment), Math.min(left, LONGEST_TIMER)).unref();
  }
}

const REFUSED = { 'used-up': 'LINK_USED_UP', closed: 'LINK_EXPIRED', busy: 'LINK_BUSY' } as const;

function entering(
  { clock, options }: KeeperContext,
  { link, lease, clientKey, terms }: AdmittedRequest,
  plan: PlannedDelivery,
  cookie: string,
): Entering {
  const { length } = plan;
  const total = bytesOf(plan);
  const mayOpen = clock() < link.expiresAt;
  return {
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
    budget: link.byteBudget ?? (length === undefined ? undefined : Math.ceil(length * options.byteBudget)),
    bytes: firstCredit(total),
    planned: total === Infinity ? 0 : total,
    terms,
  };
}

function bookingOf({ clock }: KeeperContext, { link, resumeWithin, terms }: AdmittedRequest): Booking {
  return {
    linkId: link.id,
    keep: Math.max(link.expiresAt + resumeWithin - clock(), terms.idle),
    limited: link.maxDownloads !== undefined,
    terms,
  };
}

function setCookie({ clock, options }: KeeperContext, request: AdmittedRequest, value: string): void {
  const { link, client, resumeWithin } = request;
  const usable = Math.min(options.terms.life, link.expiresAt + resumeWithin - clock());
  client.setCookie?.({
    name: leaseCookieName(link.id),
    value,
    httpOnly: true,
    sameSite: 'lax',
    path: client.path ?? '/',
    maxAge: Math.max(1, Math.ceil(usable / 1000)),
  });
}

/** Undoes what comes too late to be used, and what may have been done unheard. */
async function enterBook(
  context: KeeperContext,
  booking: Booking,
  request: Entering,
  seen: Look | undefined,
  required: boolean,
): Promise<Entry | undefined> {
  const undo = () => giveBack(context, booking, request.lease, request.request, request);
  const call = () => context.book.enter(booking, request, seen);
  try {
    return required ? await context.calls.required(call, undo) : await context.calls.optional(call, undo);
  } catch (error) {
    undo();
    throw error;
  }
}

/** Ends a request that sent nothing, if the store has it. */
function giveBack(
  context: KeeperContext,
  booking: Booking,
  lease: string,
  request: string,
  belonging?: Belonging,
): void {
  const report = { request, sent: 0, covered: [], whole: false };
  context.settlements.settle({ booking, lease, report, belonging });
}

function bytesOf(plan: PlannedDelivery): number {
  return plan.length === undefined
    ? Infinity
    : plan.intervals.reduce((bytes, { start, end }) => bytes + end - start, 0);
}

function intervalSet(intervals: readonly ByteInterval[] = []): IntervalSet {
  return intervals.reduce((set, { start, end }) => withInterval(set, start, end), NO_INTERVALS);
}
