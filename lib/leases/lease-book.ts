import { end, enter, progress, transfer } from './lease.js';
import type { Belonging, Ending, Entering, Entry, Progress, Transfer } from './lease.js';
import { bytesLeft, isOver, isRunning, runningOf } from './lease-record.js';
import type { Lease, LeaseName, LeaseTerms } from './lease-record.js';
import type { LeaseStore, LinkRecord } from './lease-store.js';
import { Draft, LINK, LinkKnowledge } from './link-knowledge.js';
import type { LinkUse, Look } from './link-knowledge.js';

/** How many operations are decided and committed at once. */
const BATCH = 200;

/** How often a commit that came too late is decided again, before its operations fail. */
const ATTEMPTS = 50;

/** The longest random pause between attempts, ms; keeps two processes from colliding again and again. */
const LONGEST_PAUSE = 50;

/** How long records are kept after they are last needed, ms: clocks may differ by less than that. */
const RECORD_MARGIN = 10 * 60 * 1000;

/** After so many uses of a link, its records are swept. */
const SWEEP_EVERY = 512;

/** How many clients of a link are kept for display, even when their leases are over. */
const ENOUGH = 32;

/** How many clients of an unlimited link are kept at most. */
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
}

/** What the end of a request came to. */
export interface EndingAnswer {
  readonly found: boolean;
  /** By this report the lease became complete. */
  readonly completed: boolean;
  /** Nothing was sent under the lease, so the link has it back. */
  readonly givenBack: boolean;
}

/** An operation on one link: the records that it must know, and what it decides. */
interface Operation<T = unknown> {
  readonly booking: Booking;
  readonly needs: readonly string[];
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
  private turns = 0;

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

  /** Looks up whether a link was revoked, and some of its records. */
  async look(linkId: string, revocations: readonly string[], ids: readonly string[] = []): Promise<Look> {
    const now = this.clock();
    const turn = ++this.turns;
    const state = await this.store.read({ now, linkId, records: ids, revocations });
    this.ahead = state.now - now;
    return { turn, ids, state };
  }

  /**
   * Joins or opens a lease.
   *
   * @param seen what a look at {@link recordsOf} the request found a moment ago
   */
  async enter(booking: Booking, request: Entering, seen?: Look): Promise<Entry> {
    const needs = recordsOf(request, request.lease);
    if (seen) {
      // The new lease was not read, as no other process can know of it
      this.desk(booking.linkId).known.learn({ ...seen, ids: needs });
    }
    const entry = await this.take(booking, needs, (draft) => {
      const decided = enter(draft.about(needs), request);
      if ('lease' in decided && !decided.repeated) {
        draft.put(decided.lease, booking.terms);
        if (decided.kind === 'opened') {
          draft.used += 1;
        }
      }
      return decided;
    });
    if (entry.kind === 'opened' && entry.used % SWEEP_EVERY === 0) {
      this.sweep(booking).catch(() => {});
    }
    return entry;
  }

  /** Reports what a running request sent, and asks for the right to send more. */
  progress(booking: Booking, name: LeaseName, report: Progress): Promise<ProgressAnswer> {
    return this.take(booking, [name.client], (draft) => {
      const lease = draft.lease(name);
      const answer = lease && progress(lease, report, draft.now, booking.terms);
      if (!answer) {
        return { found: false, granted: 0 };
      }
      draft.put(answer.lease, booking.terms);
      return { found: true, granted: answer.granted, left: bytesLeft(answer.lease) };
    });
  }

  /** Moves a running request whose lease has nothing left to a further lease, if the link has one. */
  transfer(booking: Booking, name: LeaseName, report: Transfer): Promise<ProgressAnswer> {
    return this.take(booking, [LINK, name.client], (draft) => {
      const repeated = draft.lease({ client: name.client, id: report.lease });
      if (repeated) {
        const granted = runningOf(repeated, report.request)?.granted ?? 0;
        return { found: true, granted, left: bytesLeft(repeated) };
      }
      const lease = draft.lease(name);
      const answer = lease && transfer(draft, lease, report);
      if (!answer) {
        return { found: false, granted: 0 };
      }
      draft.put(answer.from, booking.terms);
      draft.put(answer.to, booking.terms);
      draft.used += 1;
      return { found: true, granted: answer.granted, left: bytesLeft(answer.to) };
    });
  }

  /** Ends a request, under whichever lease of these records it runs. Repeating it changes nothing. */
  end(booking: Booking, records: readonly string[], report: Ending): Promise<EndingAnswer> {
    // Only what sent nothing can give its lease back, which is a matter of the link's record
    const needs = report.sent === 0 ? [LINK, ...records] : records;
    return this.take(booking, needs, (draft) => {
      const lease = draft.about(records).leases.find((known) => isRunning(known, report.request));
      const answer = lease && end(lease, report, draft.now);
      if (!answer) {
        return { found: false, completed: false, givenBack: false };
      }
      const { completed, givenBack } = answer;
      if (givenBack) {
        draft.remove(lease);
        draft.used -= 1;
      } else {
        draft.put(answer.lease, booking.terms);
      }
      return { found: true, completed, givenBack };
    });
  }

  /** How often a link was used, and the leases that are still known, the latest first. */
  async list(linkId: string): Promise<{ used: number; leases: Lease[] }> {
    const { records } = await this.store.read({
      now: this.clock(),
      linkId,
      records: 'all',
      revocations: [],
    });
    const link = records.find(({ id }) => id === LINK);
    const leases = records.flatMap((record) => leasesIn(record));
    return { used: (link?.value as LinkUse | undefined)?.used ?? 0, leases };
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

  private take<T>(booking: Booking, needs: readonly string[], decide: (draft: Draft) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const desk = this.desk(booking.linkId);
      const operation: Operation<T> = { booking, needs, decide, resolve, reject };
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
    const keep = Math.max(...batch.map(({ booking }) => booking.keep)) + RECORD_MARGIN;
    for (let attempt = 1; attempt <= ATTEMPTS && !turn.over; attempt++) {
      const missing = known.missing(batch.flatMap(({ needs }) => needs));
      if (missing.length > 0) {
        known.learn(await this.look(linkId, [], missing));
      }
      const draft = new Draft(known, this.now());
      const answers = batch.map(({ decide }) => decide(draft));
      const changes = draft.changes();
      const { now } = draft;
      if (
        changes.length === 0 ||
        (await this.store.commit({ now, linkId, keepUntil: now + keep, changes }))
      ) {
        if (!turn.over) {
          known.apply(changes, ++this.turns);
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

  /** Forgets clients of a link that has many: if their leases are over, or the link is unlimited. */
  private async sweep({ linkId, limited, terms }: Booking): Promise<void> {
    const { now, records } = await this.store.read({
      now: this.clock(),
      linkId,
      records: 'all',
      revocations: [],
    });
    const seenAt = (record: LinkRecord) => Math.max(...leasesIn(record).map((lease) => lease.seenAt));
    const forgotten = records
      .filter(({ id }) => id !== LINK)
      .sort((a, b) => seenAt(b) - seenAt(a))
      .slice(ENOUGH)
      .filter(
        (record, i) =>
          leasesIn(record).every((lease) => isOver(lease, now, terms)) ||
          (!limited && i >= MOST_UNLIMITED - ENOUGH),
      )
      .map(({ id, version }) => ({ id, was: version, version: version + 1 }));
    while (forgotten.length > 0) {
      const changes = forgotten.splice(0, BATCH);
      await this.store.commit({ now, linkId, keepUntil: now, changes });
    }
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

/** The records in which a lease that a request belongs to may be found, and the link's own. */
export function recordsOf({ presented, client }: Belonging, lease?: string): string[] {
  const clients = [presented?.client, client, lease].filter((id) => id !== undefined);
  return [LINK, ...new Set(clients)];
}

function leasesIn({ id, value }: LinkRecord): readonly Lease[] {
  return id === LINK ? [] : (value as readonly Lease[]);
}
