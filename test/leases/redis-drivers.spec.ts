import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { driverFor } from '../../lib/leases/redis/redis-client.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

/** What a connection for subscriptions does when it is asked. */
interface Behaviour {
  connect?: () => Promise<void>;
  subscribe?: () => Promise<void>;
}

describe('the subscription through node-redis', () => {
  const refuse = () => Promise.reject(new Error('ECONNREFUSED'));

  function subscription({ connect = async () => {}, subscribe = async () => {} }: Behaviour) {
    const subscriber = {
      isOpen: false,
      on: vi.fn(),
      connect: vi.fn(async () => {
        if (subscriber.isOpen) {
          throw new Error('Socket already opened');
        }
        await connect();
        subscriber.isOpen = true;
      }),
      subscribe: vi.fn(subscribe),
      destroy: vi.fn(() => (subscriber.isOpen = false)),
    };
    const client = { evalSha: () => {}, on: () => {}, duplicate: () => subscriber } as never;
    const ready = vi.fn();
    const end = driverFor(client).subscribe('channel', { message: () => {}, ready, lost: () => {} });
    return { subscriber, ready, end };
  }

  it('is tried again where the server cannot be reached', async () => {
    const { subscriber, ready } = subscription({
      connect: vi.fn(async () => {}).mockImplementationOnce(refuse),
    });
    await vi.advanceTimersByTimeAsync(500);
    expect(subscriber.connect).toHaveBeenCalledTimes(2);
    expect(ready).toHaveBeenCalledTimes(1);
  });

  it('is tried again on the connection that stands, where only subscribing failed', async () => {
    const { subscriber, ready } = subscription({
      subscribe: vi.fn(async () => {}).mockImplementationOnce(refuse),
    });
    await vi.advanceTimersByTimeAsync(500);
    expect(subscriber.connect).toHaveBeenCalledTimes(1);
    expect(ready).toHaveBeenCalledTimes(1);
  });

  it('opens no connection after it has ended', async () => {
    const { subscriber, end } = subscription({ connect: refuse });
    await vi.advanceTimersByTimeAsync(0);
    end();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(subscriber.connect).toHaveBeenCalledTimes(1);
  });

  it('closes a connection that was made while it ended', async () => {
    let connected = () => {};
    const connect = () => new Promise<void>((resolve) => (connected = resolve));
    const { subscriber, ready, end } = subscription({ connect });
    end();
    connected();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(subscriber.isOpen).toBe(false);
    expect(ready).not.toHaveBeenCalled();
  });
});

describe('a connection of ioredis that the store has made', () => {
  function connection(quit: () => Promise<unknown>) {
    const client = { evalsha: () => {}, on: () => {}, quit: vi.fn(quit), disconnect: vi.fn() };
    return { client, driver: driverFor(client as never, true) };
  }

  it('is given up where the server does not answer QUIT', async () => {
    const { client, driver } = connection(() => new Promise(() => {}));
    const closed = driver.close();
    await vi.advanceTimersByTimeAsync(2000);
    await closed;
    expect(client.disconnect).toHaveBeenCalledTimes(1);
  });

  it('gives up at once where there is no server', async () => {
    const { client, driver } = connection(() => Promise.reject(new Error('Connection is closed.')));
    await driver.close();
    expect(client.disconnect).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends with QUIT, and leaves no timer', async () => {
    const { client, driver } = connection(async () => 'OK');
    await driver.close();
    expect(client.disconnect).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
