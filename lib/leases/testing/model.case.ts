import assert from 'node:assert/strict';
import { type LeaseStore } from '../lease-store.js';
import { MemoryLeaseStore } from '../memory/memory.store.js';
import { acquisition, ending, extension, query, START, type StoreCase, TERMS } from './fixtures.js';

/** A small generator of numbers that are the same in every run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Call = (store: LeaseStore) => Promise<unknown>;

/** A life of one link, made up: requests of a few clients that start, report and end in any order. */
function story(seed: number, linkId: string): Call[] {
  const pick = numbers(seed);
  const base = { linkId, maxDownloads: 1 + pick(3), budget: pick(4) ? 250 : undefined, keep: 2 * TERMS.life };
  const length = pick(5) ? 100 : undefined;
  const started: ReturnType<typeof acquisition>[] = [];
  let now = START;
  return Array.from({ length: 60 }, (): Call => {
    now += pick(8) ? pick(5000) : pick(TERMS.idle);
    const known = started[pick(started.length || 1)];
    const lease = started[pick(started.length || 1)]?.lease;
    const client = `client-${pick(3)}`;
    const from = pick(100);
    const covered = [from, from + 1 + pick(100 - from)];
    const sent = pick(120);
    switch (known ? pick(5) : 0) {
      case 0: {
        const version = `v${pick(8) ? 1 : 2}`;
        const request = acquisition({
          ...base,
          now,
          length,
          version,
          client,
          presented: lease,
          mayOpen: pick(6) > 0,
          from: pick(4) ? from : undefined,
          bytes: 1 + pick(100),
        });
        started.push(request);
        return (store) => store.acquire(request);
      }
      case 1: {
        const report = extension(known!, { now, lease, covered, sent, total: pick(150) });
        return (store) => store.extend(report);
      }
      case 2:
        return (store) => store.usage(linkId);
      case 3: {
        const question = query({ now, linkId, client, lease });
        return (store) => store.inspect(question);
      }
      default: {
        const unconfirmed = pick(2) ? [covered[1]!, covered[1]! + 1 + pick(50)] : undefined;
        const report = ending(known!, { now, lease, covered, sent, unconfirmed, whole: pick(2) === 0 });
        const right = pick(3) ? { ...report, lease: known!.lease } : report;
        return (store) => store.release(right);
      }
    }
  });
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** What no list of cases thinks of: the store against the memory store, which runs the state machine itself. */
export const modelCase: StoreCase = {
  name: 'does what the state machine does, whatever happens in whatever order',
  async run({ store }) {
    const model = new MemoryLeaseStore();
    await model.open(START);
    for (let seed = 1; seed <= 40; seed++) {
      for (const [step, call] of story(seed, `story-${seed}`).entries()) {
        const [expected, actual] = [plain(await call(model)), plain(await call(store))];
        assert.deepEqual(sorted(actual), sorted(expected), `story ${seed}, step ${step}`);
      }
    }
  },
};

/** Leases are listed in no particular order. */
function sorted(answer: unknown): unknown {
  const leases = (answer as { leases?: unknown[] }).leases;
  return leases
    ? { ...(answer as object), leases: leases.map((lease) => JSON.stringify(lease, SORTED_KEYS)).sort() }
    : answer;
}

const SORTED_KEYS = ['openedAt', 'seenAt', 'completedAt', 'length', 'covered', 'running'];
