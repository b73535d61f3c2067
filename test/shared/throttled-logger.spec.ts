import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Logger } from '@nestjs/common';
import { ThrottledLogger } from '../../lib/shared/throttled-logger.js';

let lines: string[];

beforeEach(() => {
  lines = [];
  vi.useFakeTimers();
  for (const level of ['error', 'warn'] as const) {
    vi.spyOn(Logger.prototype, level).mockImplementation(
      (text: unknown) => void lines.push(`${level} ${String(text)}`),
    );
  }
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it('writes the first message under a key, and with the next how many were left out', () => {
  const logger = new ThrottledLogger('Test', 1000);
  for (let i = 0; i < 5; i++) {
    logger.error('a', `failed ${i}`);
  }
  logger.warn('b', 'something else');
  vi.advanceTimersByTime(1000);
  logger.error('a', 'failed again');
  vi.advanceTimersByTime(1000);
  logger.warn('a', 'quiet now');
  expect(lines).toEqual([
    'error failed 0',
    'warn something else',
    'error failed again (and 4 more like this since the last line)',
    'warn quiet now',
  ]);
});

it('writes one line without control characters, whatever the message contains', () => {
  new ThrottledLogger('Test').error('a', 'kid \u001b[31mred\r\nERROR forged\u2028line\u202egnp\u0000');
  expect(lines).toEqual(['error kid  [31mred ERROR forged line gnp ']);
});

it('shares one line between keys beyond a bound, so that keys chosen by a client do not fill the log', () => {
  const logger = new ThrottledLogger('Test');
  for (let i = 0; i < 5000; i++) {
    logger.error(`key ${i}`, `failed ${i}`);
  }
  expect(lines.length).toBeLessThan(200);
});

it('writes the call stack of a cause below the line, without what its message pretends to be', () => {
  const written = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
  new ThrottledLogger('Test').error('a', 'failed', new Error('bad\nERROR forged'));
  const [[line, stack]] = written.mock.calls as [[string, string]];
  expect(line).toBe('failed');
  expect(stack).toMatch(/^ {4}at .*throttled-logger\.spec/);
  expect(stack).not.toContain('forged');
});
