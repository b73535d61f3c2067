import { end, enter, transfer, progress } from './lease.js';
import { bytesLeft, isRunning, overAt, runningOf } from './lease-record.js';
import type { Belonging, Ending, Entering, Entry, Transfer } from './lease.js';
import type { Progress } from './lease.js';
import type { LeaseTerms } from './lease-record.js';
import type { LeaseList, LeaseListQuery, LeaseStore, LinkNames } from './lease-store.js';
import { Draft, LinkKnowledge } from './link-knowledge.js';
import type { Look, Needs } from './link-knowledge.js';

/** How many operations are decided and committed at once. */
const BATCH = 200;

/** How often a commit that came too late is decided again, before its operations fail. */
const ATTEMPTS = 50;

/** The longest random pause between attempts, ms; keeps two processes from colliding again and again. */
const LONGEST_PAUSE = 50;

/** How long records are kept after they are last needed, ms: clocks may differ by less than that. */
const RECORD_MARGIN = 10 * 60 * 1000;

/** How many leases of a link a store keeps for display, even when they are over. */
const ENOUGH = 32;

/** How many leases of an unlimited link a store keeps at most. */
const MOST_UNLIMITED = 1000;

/** The link that an operation is about. */
export interface Booking {
  readonly linkId: string;
  /** Milliseconds from now for which the link's records must be kept, beside a margin. */
  readonly keep: number;
  readonly limited: boolean;
  readonly terms: LeaseTerms;
}

/** What a running request may go on to send. */
export interface ProgressAnswer {
  /** False where the store no longer knows the request. */
  readonly found: boolean;
  /** Bytes the request may send in all. */
  readonly granted: number;
  /** Bytes of the budget that are not charged yet; undefined where there is no budget. */
  readonly left?: number;
  readonly lease?: string;
}

/** What the end of a request came to. */
export interface EndingAnswer {
  readonly found: boolean;
  /** By this report the lease became complete. */
  readonly completed: boolean;
  /** Nothing was sent under the lease, so the link has it back. */
  readonly givenBack: boolean;
}

/** An operation on one link: what it must know, and what it decides. */
interface Operation<T = unknown> {
  readonly booking: Booking;
  readonly needs: Needs;
  /** What a look found a moment ago. */
  readonly seen?: Look;
  readonly decide: (draft: Draft) => T;
  readonly resolve: (answer: T) => void;
  readonly reject: (error: unknown) => void;
}

/** The operations on one link that wait, and what this process knows of its records. */
interface Desk {
  readonly known: LinkKnowledge;
  waiting: Operation[];
  working: boolean;
  /** Downloads that run here and will report. */
  running: number;
}

/**
 * Reads, decides, commits: applies the decisions of the state machine to the records in the store, and
 * decides again where another process was faster. Operations on one link take turns; those that wait are
 * decided together and committed at once, so that a thousand simultaneous requests neither starve nor flood
 * the store.
 */
export class LeaseBook {
  private readonly desks = new Map<string, Desk>();
  /** Milliseconds by which the store's clock is ahead. */
  private ahead = 0;

  /**
   * @param patience milliseconds after which a commit without an answer no longer holds up those behind it
   */
  constructor(
    private readonly store: LeaseStore,
    private readonly clock: () => number,
    private readonly patience: number,
  ) {}

  /** The moment by the clock that decides on leases. */
  now(): number {
    return this.clock() + this.ahead;
  }

  /** Looks a link up: whether it was revoked and, with `needs`, the leases it is about. */
  async look({ linkId, resource, subject }: LinkNames, needs?: Needs): Promise<Look> {
    const now = this.clock();
    const { leases = [], keys = [] } = needs ?? {};
    const leased = needs !== undefined;
    const state = await this.store.read({ now, linkId, resource, subject, leased, leases, keys });
    this.ahead = state.now - now;
    return { needs: { leases, keys }, state };
  }

  /** Joins or opens a lease. */
  enter(booking: Booking, request: Entering, seen?: Look): Promise<Entry> {
    const needs = needsOf(request, request.lease);
    return this.turn(
      booking,
      needs,
      (draft) => {
        const entry = enter(draft.about(needs), request);
        if ('lease' in entry && !entry.repeated) {
          draft.put(entry, overAt(entry.lease, booking.terms));
          draft.used += entry.kind === 'opened' ? 1 : 0;
        }
        return entry;
      },
      seen,
    );
  }

  /** Reports what a running request sent, and asks for the right to send more. */
  progress(booking: Booking, lease: string, report: Progress): Promise<ProgressAnswer> {
    return this.turn(booking, { leases: [lease] }, (draft) => {
      const found = draft.lease(lease);
      const answer = found && progress(found.lease, report, draft.now, booking.terms);
      if (!found || !answer) {
        return { found: false, granted: 0 };
      }
      draft.put({ ...found, lease: answer.lease }, overAt(answer.lease, booking.terms));
      return { found: true, granted: answer.granted, left: bytesLeft(answer.lease) };
    });
  }

  /** Moves a running request whose lease has nothing left to a further lease, if the link has one. */
  transfer(booking: Booking, lease: string, report: Transfer): Promise<ProgressAnswer> {
    const needs = { leases: [lease, report.lease], link: true };
    return this.turn(booking, needs, (draft) => {
      const repeated = draft.lease(report.lease);
      if (repeated) {
        const granted = runningOf(repeated.lease, report.request)?.granted ?? 0;
        return { found: true, granted, left: bytesLeft(repeated.lease), lease: report.lease };
      }
      const found = draft.lease(lease);
      const answer = found && transfer(draft, found, report);
      if (!found || !answer) {
        return { found: false, granted: 0 };
      }
      draft.put({ ...found, lease: answer.from }, overAt(answer.from, booking.terms));
      draft.put(answer.to, overAt(answer.to.lease, booking.terms));
      draft.used += 1;
      return { found: true, granted: answer.granted, left: bytesLeft(answer.to.lease), lease: report.lease };
    });
  }

  /**
   * Ends a request. Repeating it changes nothing.
   *
   * @param belonging given where it is not known which lease the request has joined, if any
   */
  end(booking: Booking, lease: string, report: Ending, belonging?: Belonging): Promise<EndingAnswer> {
    // Only what sent nothing can give its lease back, which is a matter of the link's record
    const needs = belonging ? needsOf(belonging, lease) : { leases: [lease], link: report.sent === 0 };
    return this.turn(booking, needs, (draft) => {
      const found = draft.about(needs).leases.find((known) => isRunning(known.lease, report.request));
      const answer = found && end(found.lease, report, draft.now);
      if (!found || !answer) {
        return { found: false, completed: false, givenBack: false };
      }
      const { completed, givenBack } = answer;
      if (givenBack) {
        draft.remove(found);
        draft.used -= 1;
      } else {
        draft.put({ ...found, lease: answer.lease }, overAt(answer.lease, booking.terms));
      }
      return { found: true, completed, givenBack };
    });
  }

  list(query: LeaseListQuery): Promise<LeaseList> {
    return this.store.list(query);
  }

  /** A download begins to run here: what is known of its link is kept, so that a report is one commit. */
  stay(linkId: string): void {
    this.desk(linkId).running += 1;
  }

  leave(linkId: string): void {
    const desk = this.desk(linkId);
    desk.running -= 1;
    this.tidy(linkId, desk);
  }

  private turn<T>(booking: Booking, needs: Needs, decide: (draft: Draft) => T, seen?: Look): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const desk = this.desk(booking.linkId);
      const operation: Operation<T> = { booking, needs, seen, decide, resolve, reject };
      desk.waiting.push(operation as unknown as Operation);
      if (!desk.working) {
        void this.work(booking.linkId, desk);
      }
    });
  }

  private async work(linkId: string, desk: Desk): Promise<void> {
    desk.working = true;
    while (desk.waiting.length > 0) {
      await this.within(desk, desk.waiting.splice(0, BATCH));
    }
    desk.working = false;
    this.tidy(linkId, desk);
  }

  /**
   * Settles a batch; one that takes too long goes on by itself, and what it may have changed is read again.
   */
  private within(desk: Desk, batch: Operation[]): Promise<void> {
    return new Promise((resolve) => {
      const turn = { over: false };
      const timer = setTimeout(() => {
        turn.over = true;
        desk.known.forget();
        resolve();
      }, this.patience);
      this.settle(desk, batch, turn)
        .catch((error: unknown) => {
          desk.known.forget();
          batch.forEach(({ reject }) => reject(error));
        })
        .finally(() => {
          clearTimeout(timer);
          resolve();
        });
    });
  }

  private async settle({ known }: Desk, batch: Operation[], turn: { over: boolean }): Promise<void> {
    const { linkId } = batch[0]!.booking;
    for (const { seen, needs } of batch) {
      if (seen) {
        // The new lease was not read, as no other process can know of it
        known.recall({ ...seen, needs });
      }
    }
    const needs = batch.map((operation) => operation.needs);
    for (let attempt = 1; attempt <= ATTEMPTS && !turn.over; attempt++) {
      const missing = known.missing(needs);
      if (missing) {
        known.learn(await this.look({ linkId, resource: '' }, missing));
        if (known.missing(needs)) {
          // Another process changed the link between two looks, so what was known before was dropped
          continue;
        }
      }
      const draft = new Draft(known, this.now());
      const answers = batch.map(({ decide }) => decide(draft));
      const limited = batch.every(({ booking }) => booking.limited);
      const keep = Math.max(...batch.map(({ booking }) => booking.keep)) + RECORD_MARGIN;
      const commit = draft.commit({
        linkId,
        keepUntil: draft.now + keep,
        enough: ENOUGH,
        most: limited ? Infinity : MOST_UNLIMITED,
      });
      if (!commit || (await this.store.commit(commit))) {
        if (commit && !turn.over) {
          known.apply(commit);
        }
        batch.forEach(({ resolve }, i) => resolve(answers[i]));
        return;
      }
      known.forget();
      if (attempt > 1) {
        const pause = Math.min(LONGEST_PAUSE, 2 ** attempt) * Math.random();
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
    throw new Error('The records of a link changed whenever they were to be written.');
  }

  private desk(linkId: string): Desk {
    let desk = this.desks.get(linkId);
    if (!desk) {
      desk = { known: new LinkKnowledge(), waiting: [], working: false, running: 0 };
      this.desks.set(linkId, desk);
    }
    return desk;
  }

  private tidy(linkId: string, desk: Desk): void {
    if (!desk.working && desk.running <= 0) {
      this.desks.delete(linkId);
    }
  }
}

/** What must be known to decide on a request of this cookie and client. */
export function needsOf({ presented, client }: Belonging, lease?: string): Needs {
  return {
    link: true,
    leases: [lease, presented].filter((id) => id !== undefined),
    keys: [presented, client].filter((key) => key !== undefined),
  };
}
