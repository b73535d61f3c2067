import { setTimeout as sleep } from 'node:timers/promises';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import { enter, report } from './lease.js';
import type { Booking, Entering, Entry, KnownLink, Report, Reported } from './lease.js';
import { isOver } from './lease-record.js';
import type { LeaseStore, LinkRecord, LinkState } from './lease-store.js';
import { holdsLeases, leasesIn, LINK, LinkKnowledge, linkOf, recordsOf } from './link-knowledge.js';

/** How many operations are decided and committed at once: each changes two records of its own at most. */
const BATCH = 49;

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

/** Beyond so many records, what is known of a link is read again. */
const MOST_RECORDS = 4096;

/** How many clients of an unlimited link are kept at most. */
const MOST_UNLIMITED = 1000;

/** How far the clocks of two machines may differ before it is logged, ms. */
const CLOCKS_DIFFER = 2000;

/** What becomes of a record that is not about leases; a value that stays the same object is not written. */
export type RecordDecision<T> = (now: number, value?: object) => { value?: object; answer: T };

/** An operation on one link: the records that it must know, and what it decides. */
interface Operation {
  readonly booking: KeptLink;
  readonly needs: readonly string[];
  readonly isReport: boolean;
  readonly decide: (known: LinkKnowledge, now: number) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What tells how long the records of a link are kept. */
type KeptLink = Pick<Booking, 'linkId' | 'endsAt' | 'terms'>;

/** The operations on one link that wait, and what this process knows of its records. */
interface Desk {
  known: LinkKnowledge;
  readonly waiting: Operation[];
  /** What is being settled, and since when, by `performance.now()`. */
  batch?: readonly Operation[];
  startedAt: number;
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
  private readonly logger = new ThrottledLogger('DownloadAuth', 30_000);
  /** Milliseconds by which the store's clock is ahead. */
  private ahead = 0;

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

  /**
   * Joins or opens a lease.
   *
   * @param seen what was read of the request's records a moment ago
   */
  async enter(booking: Booking, request: Entering, seen?: LinkState): Promise<Entry> {
    const needs = recordsOf(request);
    if (seen) {
      // The new lease was not read, as no other process can know of it
      this.desk(booking.linkId).known.learn(needs, seen);
    }
    const decide = (known: LinkKnowledge, now: number) => {
      const link = known.about(needs, now);
      const entry = enter(link, booking, request);
      if ('lease' in entry) {
        known.put(entry.lease, link, booking.terms);
      }
      return entry;
    };
    const entry = await this.take(booking, needs, decide);
    if (entry.kind === 'opened' && entry.used % SWEEP_EVERY === 0) {
      this.sweep(booking).catch(() => {});
    }
    return entry;
  }

  /**
   * Reports what a request sent, and asks for more or ends it; undefined where it does not run. Repeating it
   * changes nothing.
   *
   * @param records those in which its lease may be found
   */
  report(booking: Booking, records: readonly string[], told: Report): Promise<Reported | undefined> {
    const needs = [LINK, ...records];
    const decide = (known: LinkKnowledge, now: number) => {
      const link = known.about(needs, now);
      const reported = report(link, booking, told);
      if (reported) {
        known.put(reported.lease, link, booking.terms);
      }
      return reported;
    };
    return this.take(booking, needs, decide, true);
  }

  /** Changes a record that is not about leases, whatever was known of it here. */
  change<T>(link: KeptLink, id: string, decide: RecordDecision<T>): Promise<T> {
    this.desk(link.linkId).known = new LinkKnowledge();
    return this.take(link, [id], (known, now) => {
      const { value, answer } = decide(now, known.get(id));
      known.set(id, value);
      return answer;
    });
  }

  /** How often a link was used, and the leases that are still known. */
  async list(linkId: string): Promise<KnownLink> {
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

  /** Records of a link, and whether it was revoked, as the store has them. */
  async read(
    linkId: string,
    records: readonly string[] | 'all',
    revocations: readonly string[] = [],
  ): Promise<LinkState> {
    const now = this.clock();
    const state = await this.store.read({ now, linkId, records, revocations });
    this.ahead = state.now - now;
    if (state.since > now + CLOCKS_DIFFER) {
      const [known, here] = [state.since, now].map((moment) => new Date(moment).toISOString());
      // A clock that is behind the store makes new links look older than the store, so they are refused
      this.logger.error(
        'clock',
        `The lease store was created at ${known}, but here it is ${here}: this clock was set back, or differs from ` +
          'the one that made the store. Limited and revocable links issued until then are refused with 410.',
      );
    }
    return state;
  }

  private desk(linkId: string): Desk {
    let desk = this.desks.get(linkId);
    if (!desk) {
      desk = { known: new LinkKnowledge(), waiting: [], batch: undefined, startedAt: 0, running: 0 };
      this.desks.set(linkId, desk);
    }
    return desk;
  }

  private tidy(linkId: string, desk: Desk): void {
    if (!desk.batch && desk.running <= 0) {
      this.desks.delete(linkId);
    } else if (desk.known.size > MOST_RECORDS) {
      desk.known = new LinkKnowledge();
    }
  }

  private take<T>(
    booking: KeptLink,
    needs: readonly string[],
    decide: (known: LinkKnowledge, now: number) => T,
    isReport = false,
  ): Promise<T> {
    const { linkId } = booking;
    const desk = this.desk(linkId);
    return new Promise<T>((resolve, reject) => {
      let answer: T;
      desk.waiting.push({
        booking,
        needs,
        isReport,
        decide: (known, now) => (answer = decide(known, now)),
        resolve: () => resolve(answer),
        reject,
      });
      if (!desk.batch) {
        void this.work(linkId, desk);
      } else if (performance.now() >= desk.startedAt + this.patience) {
        // Leaves a batch that takes too long alone; what it may have changed is read again
        desk.known = new LinkKnowledge();
        void this.work(linkId, desk);
      }
    });
  }

  /** Settles what waits, batch by batch. */
  private async work(linkId: string, desk: Desk): Promise<void> {
    while (desk.waiting.length > 0) {
      const batch = desk.waiting.splice(0, BATCH);
      desk.batch = batch;
      desk.startedAt = performance.now();
      try {
        await this.settle(linkId, desk, batch);
      } catch (error) {
        desk.known = new LinkKnowledge();
        batch.forEach(({ reject }) => reject(error));
      }
      if (desk.batch !== batch) {
        return;
      }
      desk.batch = undefined;
    }
    this.tidy(linkId, desk);
  }

  /** Decides a batch and commits it; decides again where another process was faster. */
  private async settle(linkId: string, desk: Desk, batch: readonly Operation[]): Promise<void> {
    for (let attempt = 1; attempt <= ATTEMPTS && desk.batch === batch; attempt++) {
      if (await this.decideAndCommit(linkId, desk.known, batch)) {
        batch.forEach(({ resolve }) => resolve());
        return;
      }
      desk.known = new LinkKnowledge();
      if (attempt > 1) {
        await sleep(Math.min(LONGEST_PAUSE, 2 ** attempt) * Math.random());
      }
    }
    throw new Error('The records of a link changed whenever they were to be written.');
  }

  private async decideAndCommit(
    linkId: string,
    known: LinkKnowledge,
    batch: readonly Operation[],
  ): Promise<boolean> {
    const missing = batch.flatMap(({ needs }) => needs.filter((id) => !known.has(id)));
    if (missing.length > 0) {
      known.learn(missing, await this.read(linkId, [...new Set(missing)]));
    }
    const now = this.now();
    batch.forEach(({ decide }) => decide(known, now));
    const changes = known.takeChanges();
    if (changes.length === 0) {
      return true;
    }
    const needed = batch.map(({ booking: { endsAt, terms } }) => Math.max(endsAt, now + terms.idle));
    const keepUntil = Math.max(...needed) + RECORD_MARGIN;
    const deferrable = batch.every(({ isReport }) => isReport) && changes.every(({ id }) => id !== LINK);
    const { since } = known;
    return this.store.commit({ now, since, linkId, keepUntil, changes, deferrable });
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
}
