import { Logger } from '@nestjs/common';

/** How many keys are told apart; messages under any further one share a single line. */
const MAX_KEYS = 100;

const MAX_LENGTH = 2000;

/** Control and format characters, and what some terminals and viewers take for the end of a line. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/**
 * A logger for lines that a client or an outage can repeat without end. Of the messages under one key it
 * writes the first in each interval, as a single line, and says with the next how many it left out.
 *
 * @example
 * const logger = new ThrottledLogger('DownloadAuth');
 * logger.error('key resolver', `The key could not be looked up: ${error.message}`);
 */
export class ThrottledLogger {
  private readonly logger: Logger;
  private readonly written = new Map<string, { at: number; omitted: number }>();

  /**
   * @param context what Nest's log shows in brackets
   * @param everyMs milliseconds between two lines of one key
   */
  constructor(
    context: string,
    private readonly everyMs = 60_000,
  ) {
    this.logger = new Logger(context);
  }

  /**
   * Answers whether the line was written.
   *
   * @param cause whose call stack is written below the line
   */
  error(key: string, message: string, cause?: unknown): boolean {
    return this.write('error', key, message, cause);
  }

  /** Answers whether the line was written. */
  warn(key: string, message: string): boolean {
    return this.write('warn', key, message);
  }

  /** Answers whether the line was written. */
  log(key: string, message: string): boolean {
    return this.write('log', key, message);
  }

  private write(level: 'error' | 'warn' | 'log', key: string, message: string, cause?: unknown): boolean {
    const now = performance.now();
    const name = this.written.has(key) || this.written.size < MAX_KEYS ? key : '';
    const last = this.written.get(name);
    if (last && now - last.at < this.everyMs) {
      last.omitted += 1;
      return false;
    }
    this.written.set(name, { at: now, omitted: 0 });
    const omitted = last?.omitted ? ` (and ${last.omitted} more like this since the last line)` : '';
    const frames = framesOf(cause);
    this.logger[level](printable(message) + omitted, ...(frames ? [frames] : []));
    return true;
  }
}

/** One line of bounded length, whatever a client or another package put into it. */
export function printable(text: string): string {
  return text.slice(0, MAX_LENGTH).replace(UNPRINTABLE, ' ');
}

/** The call stack without the message before it, which may have any number of lines. */
function framesOf(cause: unknown): string | undefined {
  const stack = cause instanceof Error ? (cause.stack ?? '') : '';
  const start = stack.search(/^ {4}at /m);
  return start < 0 ? undefined : stack.slice(start);
}
