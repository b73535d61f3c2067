import { Logger } from '@nestjs/common';

/** How many keys are told apart; messages under any further one share a single line. */
const MAX_KEYS = 100;

const MAX_LENGTH = 2000;

/** Control and format characters, and what some terminals and viewers take for the end of a line. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/**
 * A logger for lines that a client or an outage can repeat without end. Of the messages under one key it
 * writes the first in each interval, as a single line, and says with the next how many it left out.
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
   * @param cause whose call stack is written below the line
   * @returns whether the line was written
   */
  error(key: string, message: string, cause?: unknown): boolean {
    const line = this.lineOf(key, message);
    if (line === undefined) {
      return false;
    }
    const frames = framesOf(cause);
    this.logger.error(line, ...(frames ? [frames] : []));
    return true;
  }

  warn(key: string, message: string): void {
    const line = this.lineOf(key, message);
    if (line !== undefined) {
      this.logger.warn(line);
    }
  }

  /** What is to be written; undefined where the interval of the key is not over. */
  private lineOf(key: string, message: string): string | undefined {
    const now = performance.now();
    const name = this.written.has(key) || this.written.size < MAX_KEYS ? key : '';
    const last = this.written.get(name);
    if (last && now - last.at < this.everyMs) {
      last.omitted += 1;
      return undefined;
    }
    this.written.set(name, { at: now, omitted: 0 });
    const omitted = last?.omitted ? ` (and ${last.omitted} more like this since the last line)` : '';
    return printable(message) + omitted;
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
