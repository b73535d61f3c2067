import { Logger } from '@nestjs/common';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeliveryBody } from '../../lib/delivery/body.js';
import { plainLayout } from '../../lib/delivery/multipart.js';

describe('a body whose source cannot be closed', () => {
  const layout = plainLayout([{ start: 0, end: 3 }]);
  const logged = vi.fn<(message: unknown) => void>();
  beforeEach(() => void vi.spyOn(Logger.prototype, 'error').mockImplementation(logged));
  afterEach(() => vi.restoreAllMocks());

  it.each([
    ['before it was read', 0],
    ['after a part of it was read', 1],
  ])('ends without an error nobody waits for: %s', async (_name, reads) => {
    const source = {
      read: async () => Buffer.from('a'),
      close: vi.fn(() => Promise.reject(new Error('EIO: the file system is gone'))),
    };
    const fail = vi.fn();
    const body = new DeliveryBody(layout, source, {
      inContext: (call) => call(),
      grant: undefined,
      writing: vi.fn(),
      wrote: vi.fn(),
      read: vi.fn(),
      fail,
    });
    for (let i = 0; i < reads; i++) {
      await body.reader.next(1, false);
    }
    const errors = vi.fn();
    body.on('error', errors);
    body.destroy();
    await once(body, 'close');
    expect(source.close).toHaveBeenCalledTimes(1);
    expect(errors).not.toHaveBeenCalled();
    expect(fail).not.toHaveBeenCalled();
    expect(logged).toHaveBeenCalledWith(expect.stringContaining('EIO'));
  });

  it('fails for the reason it had before', async () => {
    const source = {
      read: () => Promise.reject(new Error('the content fails')),
      close: () => Promise.reject(new Error('EIO: the file system is gone')),
    };
    const fail = vi.fn();
    const body = new DeliveryBody(layout, source, {
      inContext: (call) => call(),
      grant: undefined,
      writing: vi.fn(),
      wrote: vi.fn(),
      read: vi.fn(),
      fail,
    });
    body.resume();
    await vi.waitUntil(() => fail.mock.calls.length > 0);
    body.destroy();
    await once(body, 'close');
    expect(fail.mock.calls).toEqual([[new Error('the content fails')]]);
    expect(logged).toHaveBeenCalledWith(expect.stringContaining('EIO'));
  });
});
