import { setTimeout as sleep } from 'node:timers/promises';
import { enter } from './lease.js';
import type { Entering, Entry, LinkTerms } from './lease.js';
import { isOver } from './lease-record.js';
import type { Lease } from './lease-record.js';
import { report } from './lease-report.js';
import type { Report, Reported } from './lease-report.js';
import type { LeaseStore, LinkRecord, LinkState } from './lease-store.js';
import { Draft, holdsLeases, leasesIn, LINK, LinkKnowledge, linkOf, recordsOf } from './link-knowledge.js';
import type { Look } from './link-knowledge.js';

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
export interface Booking extends LinkTerms {
  readonly linkId: string;
  /** Milliseconds since the epoch until which the link may be used or resumed. */
  readonly endsAt: number;
}

/** What was decided of a request, and how often its link is used. */
type Entered = { readonly entry: Entry; readonly used: number };

/** What becomes of a record that is not about leases; a value that stays the same object is not written. */
export type RecordDecision<T> = (now: number, value?: object) => { value?: object; answer: T };

/** An operation on one link: the records that it must know, and what it decides. */
interface Operation<T = unknown> {
  readonly booking: Booking;
  readonly needs: readonly string[];
  readonly decide: (draft: Draft) => T;
  readonly isReport?: boolean;
  readonly resolve: (answer: T) => void;
  readonly reject: (error: unknown) => void;
}

/** The time that a batch has to be settled. */
interface Turn {
  over: boolean;
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

  /** @param patience milliseconds after which a commit without an answer holds up no others */
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
    const turn = ++this.turns;
    return { turn, ids, state: await this.read(linkId, ids, revocations) };
  }

  /**
   * Joins or opens a lease.
   *
   * @param seen what a look at {@link recordsOf} the request found a moment ago
   */
  async enter(booking: Booking, request: Entering, seen?: Look): Promise<Entered> {
    const needs = recordsOf(request);
    const { known } = this.desk(booking.linkId);
    if (seen) {
      // The new lease was not read, as no other process can know of it
      known.learn({ ...seen, ids: needs });
    }
    const decide = (draft: Draft) => {
      const entry = enter(draft.about(needs), booking, request);
      if ('lease' in entry) {
        draft.put(entry.lease, booking.terms);
      }
      return { entry, used: draft.used };
    };
    const decided = await this.take({ booking, needs, decide });
    if (decided.entry.kind === 'opened' && decided.used % SWEEP_EVERY === 0) {
      this.sweep(booking).catch(() => {});
    }
    return decided;
  }

  /**
   * Reports what a request sent, and asks for more or ends it; undefined where it does not run. Repeating it
   * changes nothing.
   *
   * @param records those in which its lease may be found
   */
  report(booking: Booking, records: readonly string[], told: Report): Promise<Reported | undefined> {
    const decide = (draft: Draft) => {
      const reported = report(draft.about(records), booking, told);
      for (const lease of [reported?.left, reported?.lease]) {
        if (lease) {
          draft.put(lease, booking.terms);
        }
      }
      return reported;
    };
    return this.take({ booking, needs: [LINK, ...records], decide, isReport: true });
  }

  /** Changes a record that is not about leases, whatever was known of it here. */
  change<T>(booking: Booking, id: string, decide: RecordDecision<T>): Promise<T> {
    this.desk(booking.linkId).known.forget();
    const decideOn = (draft: Draft) => {
      const { value, answer } = decide(draft.now, draft.get(id));
      draft.set(id, value);
      return answer;
    };
    return this.take({ booking, needs: [id], decide: decideOn });
  }

  /** How often a link was used, and the leases that are still known. */
  async list(linkId: string): Promise<{ readonly used: number; readonly leases: readonly Lease[] }> {
    return linkOf(await this.read(linkId, 'all'));
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

  /** The records of a link, and whether it was revoked, as the store has them. */
  async read(
    linkId: string,
    records: readonly string[] | 'all',
    revocations: readonly string[] = [],
  ): Promise<LinkState> {
    const now = this.clock();
    const state = await this.store.read({ now, linkId, records, revocations });
    this.ahead = state.now - now;
    return state;
  }

  private take<T>(operation: Omit<Operation<T>, 'resolve' | 'reject'>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { linkId } = operation.booking;
      const desk = this.desk(linkId);
      desk.waiting.push({ ...operation, resolve, reject } as unknown as Operation);
      if (!desk.working) {
        void this.work(linkId, desk);
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

  /** Settles a batch. One that takes too long goes on alone, and what it may have changed is read again. */
  private within({ known }: Desk, batch: Operation[]): Promise<void> {
    return new Promise((resolve) => {
      const turn: Turn = { over: false };
      const timer = setTimeout(() => {
        turn.over = true;
        known.forget();
        resolve();
      }, this.patience);
      this.settle(known, batch, turn)
        .catch((error: unknown) => {
          known.forget();
          batch.forEach(({ reject }) => reject(error));
        })
        .finally(() => {
          clearTimeout(timer);
          resolve();
        });
    });
  }

  /** Decides a batch and commits it; decides again where another process was faster. */
  private async settle(known: LinkKnowledge, batch: Operation[], turn: Turn): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS && !turn.over; attempt++) {
      if (await this.decideAndCommit(known, batch, turn)) {
        return;
      }
      known.forget();
      if (attempt > 1) {
        await sleep(Math.min(LONGEST_PAUSE, 2 ** attempt) * Math.random());
      }
    }
    throw new Error('The records of a link changed whenever they were to be written.');
  }

  private async decideAndCommit(known: LinkKnowledge, batch: Operation[], turn: Turn): Promise<boolean> {
    const { linkId } = batch[0]!.booking;
    const { idle } = batch[0]!.booking.terms;
    const endsAt = Math.max(...batch.map(({ booking }) => booking.endsAt));
    const missing = known.missing(batch.flatMap(({ needs }) => needs));
    if (missing.length > 0) {
      known.learn(await this.look(linkId, [], missing));
    }
    const draft = new Draft(known, this.now());
    const answers = batch.map(({ decide }) => decide(draft));
    const changes = draft.changes();
    const keepUntil = Math.max(endsAt, draft.now + idle) + RECORD_MARGIN;
    const deferrable = batch.every(({ isReport }) => isReport) && changes.every(({ id }) => id !== LINK);
    const commit = { now: draft.now, since: known.since, linkId, keepUntil, changes, deferrable };
    if (changes.length > 0 && !(await this.store.commit(commit))) {
      return false;
    }
    if (!turn.over) {
      known.apply(changes, ++this.turns);
    }
    batch.forEach(({ resolve }, i) => resolve(answers[i]));
    return true;
  }

  /** Forgets clients of a link that has many: if their leases are over, or the link is unlimited. */
  private async sweep({ linkId, maxDownloads, terms }: Booking): Promise<void> {
    const { now, since, records } = await this.read(linkId, 'all');
    const seenAt = (record: LinkRecord) => Math.max(...leasesIn(record).map((lease) => lease.seenAt));
    const forgotten = records
      .filter(({ value }) => holdsLeases(value))
      .sort((a, b) => seenAt(b) - seenAt(a))
      .filter((record, i) => {
        const mayForget = maxDownloads === undefined && i >= MOST_UNLIMITED;
        return i >= ENOUGH && (mayForget || leasesIn(record).every((lease) => isOver(lease, now, terms)));
      });
    while (forgotten.length > 0) {
      const changes = forgotten
        .splice(0, BATCH)
        .map(({ id, version }) => ({ id, was: version, version: version + 1 }));
      await this.store.commit({ now, since, linkId, keepUntil: now, changes });
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
