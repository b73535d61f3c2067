import { Logger } from '@nestjs/common';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LeaseKeeper } from '../../lib/leases/keeper.js';
import type { LeaseStore, RevocationListener } from '../../lib/leases/lease-store.js';
import { MemoryLeaseStore } from '../../lib/leases/memory/memory.store.js';
import { StoreCalls } from '../../lib/leases/store-calls.js';
import { HOUR, START } from '../../lib/leases/testing/fixtures.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { ADA, Answer, GRACE, link, MIB, plan, turn } from './support/downloads.js';

const refusal = (code: string) => expect.objectContaining({ code }) as Error;

/** A memory store behind a connection that fails (`down`), hangs (`slow`) or loses answers (`deaf`). */
function flaky() {
  const memory = new MemoryLeaseStore();
  const state = {
    mode: 'up' as 'up' | 'down' | 'slow' | 'deaf',
    calls: 0,
    listeners: [] as RevocationListener[],
    /** Lets go of what hangs. */
    resume: () => {},
  };
  const store = new Proxy(memory, {
    get(target, name: keyof MemoryLeaseStore) {
      if (name === 'subscribe') {
        return (listener: RevocationListener) => {
          state.listeners.push(listener);
          return () => {};
        };
      }
      const method = (target[name] as (...args: unknown[]) => Promise<unknown>).bind(target);
      if (name === 'open' || name === 'close') {
        return method;
      }
      return async (...args: unknown[]) => {
        state.calls += 1;
        if (state.mode === 'down') {
          throw new Error('ECONNREFUSED');
        }
        if (state.mode === 'slow') {
          await new Promise<void>((resolve) => (state.resume = resolve));
        }
        const answer = await method(...args);
        if (state.mode === 'deaf') {
          throw new Error('ECONNRESET');
        }
        return answer;
      };
    },
  });
  return { store: store as LeaseStore, memory, state };
}

let clock: TestClock;
let keeper: LeaseKeeper;
let store: ReturnType<typeof flaky>;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  clock = testClock(START);
  store = flaky();
  keeper = new LeaseKeeper({ store: store.store }, clock);
  await keeper.start();
});
afterEach(async () => {
  vi.useRealTimers();
  store.state.mode = 'up';
  store.state.resume?.();
  await keeper.close();
});

const unlimited = link({ maxDownloads: undefined });

describe('a store that does not answer', () => {
  it.each([
    ['limited', link()],
    ['revocable', link({ maxDownloads: undefined, revocable: true })],
  ])('refuses a %s link with 503', async (_, to) => {
    store.state.mode = 'down';
    const refused = keeper.admit(to, ADA);
    await expect(refused).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    await expect(refused).rejects.toMatchObject({ headers: { 'Retry-After': '5' } });
  });

  it('lets other links go on, and does not ask again for each of them', async () => {
    store.state.mode = 'down';
    for (let i = 0; i < 10; i++) {
      await (await Answer.begin(keeper, unlimited, GRACE)).finish();
    }
    expect(store.state.calls).toBe(1);
    store.state.mode = 'up';
    await vi.advanceTimersByTimeAsync(1000);
    expect(store.state.calls).toBe(2);
    await keeper.admit(unlimited, ADA);
    expect(store.state.calls).toBe(3);
  });

  it('is not taken for answering again while other calls fail', async () => {
    const types: string[] = [];
    keeper = new LeaseKeeper({ store: store.store }, clock, {
      observed: true,
      emit: ({ type }) => types.push(type),
    });
    await keeper.start();
    vi.spyOn(store.memory, 'commit').mockRejectedValue(new Error('full'));
    for (let i = 0; i < 4; i++) {
      await expect(Answer.begin(keeper, link())).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
      await vi.advanceTimersByTimeAsync(900);
    }
    expect(types).toEqual(['storeUnavailable']);
    vi.restoreAllMocks();
    await vi.advanceTimersByTimeAsync(3000);
    expect(types).toEqual(['storeUnavailable', 'storeAvailable']);
    await keeper.close();
  });

  it('lets a link go on that is not limited but could be resumed later, until it has expired', async () => {
    const resumable = link({ maxDownloads: undefined, resumeWithin: HOUR });
    store.state.mode = 'down';
    await (await Answer.begin(keeper, resumable)).finish();
    clock.advance(HOUR);
    await expect(keeper.admit(resumable, ADA)).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
  });

  it('refuses where it fails between the guard and the first byte', async () => {
    const admission = await keeper.admit(link(), ADA);
    store.state.mode = 'down';
    await expect(admission.planned(plan())).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    expect(keeper.running).toBe(0);
  });

  it('is waited for two seconds, and what it does later is undone', async () => {
    const admission = await keeper.admit(link(), ADA);
    store.state.mode = 'slow';
    const planned = expect(admission.planned(plan())).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    await vi.advanceTimersByTimeAsync(2000);
    await planned;
    store.state.mode = 'up';
    store.state.resume();
    await turn();
    expect((await keeper.usage('link-1')).used).toBe(0);
    await Answer.begin(keeper, link(), GRACE);
  });

  it('whose answer was lost: its lease is released once it answers again', async () => {
    const admission = await keeper.admit(link(), ADA);
    store.state.mode = 'deaf';
    await expect(admission.planned(plan())).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    store.state.mode = 'down';
    await vi.advanceTimersByTimeAsync(3000);
    store.state.mode = 'up';
    await vi.advanceTimersByTimeAsync(1000);
    expect((await keeper.usage('link-1')).used).toBe(0);
  });

  it('whose answer to a request that joined was lost has no request of it running afterwards', async () => {
    const running = await Answer.begin(keeper, link());
    await running.send(MIB);
    const admission = await keeper.admit(link(), ADA);
    store.state.mode = 'deaf';
    await expect(admission.planned(plan())).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    store.state.mode = 'up';
    await vi.advanceTimersByTimeAsync(1000);
    expect((await keeper.usage('link-1')).leases).toMatchObject([{ running: 1 }]);
  });

  it('lets a download go on that was counted, and gets its report afterwards', async () => {
    const answer = await Answer.begin(keeper, link());
    await answer.send(MIB);
    store.state.mode = 'down';
    await answer.finish();
    expect(answer.bytes).toBe(10 * MIB);
    const asked = store.state.calls;
    expect(asked).toBeLessThan(10);
    store.state.mode = 'up';
    await vi.advanceTimersByTimeAsync(1000);
    const [lease] = (await keeper.usage('link-1')).leases;
    expect(lease).toMatchObject({ covered: 10 * MIB, running: 0 });
    clock.advance(10_000);
    await expect(Answer.begin(keeper, link())).rejects.toThrow(refusal('LINK_USED_UP'));
  });

  it('does not limit the bytes of a download that was counted, until it answers again', async () => {
    const to = link({ byteBudget: 2 * MIB });
    for (const isBack of [false, true]) {
      const answer = await Answer.begin(keeper, { ...to, id: `link-${isBack}` });
      store.state.mode = 'down';
      await answer.send(5 * MIB);
      store.state.mode = isBack ? 'up' : 'down';
      clock.advance(1000);
      await answer.finish();
      expect(answer.bytes === 10 * MIB).toBe(!isBack);
      store.state.mode = 'up';
    }
  });

  it('gets the report of a download whose last one it never answered', async () => {
    const answer = await Answer.begin(keeper, link());
    await answer.send(MIB);
    store.state.mode = 'slow';
    answer.admission.ended({ status: 200, completed: false, bytes: MIB });
    await vi.advanceTimersByTimeAsync(2000);
    store.state.mode = 'up';
    await vi.advanceTimersByTimeAsync(1001);
    expect((await keeper.usage('link-1')).leases).toMatchObject([{ covered: MIB, running: 0 }]);
  });

  it('is told of 10,000 ended downloads when it is back, and the log tells of any others', async () => {
    const logged = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    let isUp = false;
    const answer = () => (isUp ? Promise.resolve() : Promise.reject(new Error('ECONNREFUSED')));
    const calls = new StoreCalls({ storeTimeout: 2000, failClosed: false, clock, probe: answer });
    const told = new Set<number>();
    for (let i = 0; i < 10_001; i++) {
      calls.eventually(() => answer().then(() => told.add(i)));
    }
    await turn();
    const lines = logged.mock.calls.map(([line]) => String(line));
    expect(lines).toEqual([
      expect.stringContaining('The lease store fails'),
      expect.stringContaining('was not told of the end of 1 download(s)'),
    ]);
    isUp = true;
    await vi.advanceTimersByTimeAsync(1000);
    expect([told.size, told.has(0)]).toEqual([10_000, false]);
    await calls.end();
  });

  it('makes revoke() reject, and running downloads are cut all the same', async () => {
    const running = await Answer.begin(keeper, link());
    store.state.mode = 'down';
    await expect(keeper.revoke({ link: 'link-1' })).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    expect(running.admission.signal.aborted).toBe(true);
  });

  it('does not keep the application from ending', async () => {
    const answer = await Answer.begin(keeper, link());
    store.state.mode = 'slow';
    answer.admission.ended({ status: 200, completed: false, bytes: 0 });
    const closed = keeper.close();
    await vi.advanceTimersByTimeAsync(2000);
    await closed;
  });

  it('gets one report, without retries, of what ends after the application has closed it', async () => {
    const answer = await Answer.begin(keeper, link());
    await keeper.close();
    store.state.mode = 'down';
    const { calls } = store.state;
    answer.admission.ended({ status: 200, completed: false, bytes: 0 });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(store.state.calls).toBe(calls + 1);
  });
});

describe('a store of somebody else', () => {
  it('that throws where it should reject counts as one that does not answer, and leaves no timer', async () => {
    const broken = Object.assign(new MemoryLeaseStore(), {
      read: () => {
        throw new Error('not a promise');
      },
    });
    keeper = new LeaseKeeper({ store: broken }, clock);
    await keeper.start();
    await expect(keeper.admit(link(), ADA)).rejects.toThrow(refusal('STORE_UNAVAILABLE'));
    await keeper.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a download that runs when the application ends', () => {
  it.each([
    ['until it has ended', 1],
    ['for two seconds at most', 2000],
  ])('is waited for %s', async (_, milliseconds) => {
    const answer = await Answer.begin(keeper, link());
    let over = false;
    const ended = keeper.ended().then(() => (over = true));
    await vi.advanceTimersByTimeAsync(milliseconds - 1);
    expect(over).toBe(false);
    if (milliseconds < 2000) {
      answer.admission.ended({ status: 200, completed: false, bytes: 0 });
    } else {
      await vi.advanceTimersByTimeAsync(1);
    }
    await ended;
    answer.admission.ended({ status: 200, completed: false, bytes: 0 });
    await keeper.settled();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a notice of another node', () => {
  it('cuts what runs here on the link, and nothing else', async () => {
    const answers = [await Answer.begin(keeper, link()), await Answer.begin(keeper, link({ id: 'link-2' }))];
    const [listener] = store.state.listeners;
    listener!.revoked({ name: 'link:link-2', issuedBefore: Infinity, keepUntil: Infinity });
    expect(answers.map(({ admission }) => admission.signal.aborted)).toEqual([false, true]);
  });
});

describe('a subscription that was interrupted', () => {
  it('has running downloads looked up again', async () => {
    const answers = [await Answer.begin(keeper, link()), await Answer.begin(keeper, link({ id: 'link-2' }))];
    // Revoked by another node, while this one did not hear.
    await store.memory.revoke({ name: 'link:link-2', issuedBefore: Infinity, keepUntil: Infinity }, clock());
    store.state.listeners[0]!.missed();
    await turn();
    expect(answers.map(({ admission }) => admission.signal.aborted)).toEqual([false, true]);
  });

  it('has them looked up until it works', async () => {
    const answer = await Answer.begin(keeper, link());
    await store.memory.revoke({ name: 'link:link-1', issuedBefore: Infinity, keepUntil: Infinity }, clock());
    store.state.mode = 'down';
    store.state.listeners[0]!.missed();
    await vi.advanceTimersByTimeAsync(2500);
    expect(answer.admission.signal.aborted).toBe(false);
    store.state.mode = 'up';
    await vi.advanceTimersByTimeAsync(1000);
    expect(answer.admission.signal.aborted).toBe(true);
  });
});
