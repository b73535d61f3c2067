import { beforeEach, afterEach, describe, expect, it, vi } from 'vitest';
import { Logger } from '@nestjs/common';
import { filter, firstValueFrom, map, share } from 'rxjs';
import type { DownloadEvent } from '../../lib/events/download-event.js';
import { DownloadEvents } from '../../lib/events/download-events.js';

const opened: DownloadEvent = { type: 'opened', at: 1, linkId: 'link-1', status: 200, length: 10 };
const refused: DownloadEvent = {
  type: 'refused',
  at: 2,
  code: 'LINK_EXPIRED',
  status: 410,
  path: '/',
  method: 'GET',
};

let events: DownloadEvents;
let logged: unknown[];

beforeEach(() => {
  events = new DownloadEvents();
  logged = [];
  vi.spyOn(Logger.prototype, 'error').mockImplementation((...args) => void logged.push(args));
});
afterEach(() => vi.restoreAllMocks());

/** RxJS throws what nobody handled on the next turn of the event loop, where the runner would notice. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

describe('download events', () => {
  it('reach every subscriber, in the order in which they happen', () => {
    const heard: DownloadEvent[][] = [[], []];
    heard.forEach((list) => events.subscribe((event) => list.push(event)));
    events.emit(opened);
    events.emit(refused);
    expect(heard).toEqual([
      [opened, refused],
      [opened, refused],
    ]);
  });

  it('are not built without a subscriber', () => {
    expect(events.observed).toBe(false);
    const subscription = events.subscribe();
    expect(events.observed).toBe(true);
    subscription.unsubscribe();
    expect(events.observed).toBe(false);
    events.emit(opened);
  });

  const failing: Record<string, (events: DownloadEvents) => unknown> = {
    'a subscriber that throws': (e) =>
      e.subscribe(() => {
        throw new Error('mine');
      }),
    'an observer that throws': (e) =>
      e.subscribe({
        next() {
          throw new Error('mine');
        },
      }),
    'a subscriber that rejects': (e) => e.subscribe(() => Promise.reject(new Error('mine')) as never),
    'an operator that throws': (e) =>
      e
        .pipe(
          map(() => {
            throw new Error('mine');
          }),
        )
        .subscribe(),
    'a subscriber behind operators that throws': (e) =>
      e
        .pipe(
          filter(() => true),
          share(),
        )
        .subscribe(() => {
          throw new Error('mine');
        }),
    'an error handler that throws': (e) =>
      e
        .pipe(
          map(() => {
            throw new Error('first');
          }),
        )
        .subscribe({
          error() {
            throw new Error('mine');
          },
        }),
  };

  it.each(Object.entries(failing))('are not harmed by %s', async (_, subscribe) => {
    const before: DownloadEvent[] = [];
    const after: DownloadEvent[] = [];
    events.subscribe((event) => before.push(event));
    subscribe(events);
    events.subscribe((event) => after.push(event));
    events.emit(opened);
    events.emit(refused);
    await turn();
    expect(before).toEqual([opened, refused]);
    expect(after).toEqual([opened, refused]);
    expect(JSON.stringify(logged)).toContain('mine');
  });

  it('go on reaching a subscriber that threw', () => {
    const heard: string[] = [];
    events.subscribe(({ type }) => {
      heard.push(type);
      throw new Error('mine');
    });
    events.emit(opened);
    events.emit(refused);
    expect(heard).toEqual(['opened', 'refused']);
  });

  it('work with what RxJS offers', async () => {
    const first = firstValueFrom(events.pipe(filter((event) => event.type === 'refused')));
    events.emit(opened);
    events.emit(refused);
    expect(await first).toBe(refused);
    expect(events.observed).toBe(false);
  });

  it('complete when the application ends', () => {
    const complete = vi.fn();
    events.subscribe({ complete });
    events.close();
    expect(complete).toHaveBeenCalledOnce();
    expect(events.observed).toBe(false);
  });
});
