import { HttpException } from '@nestjs/common';
import { types } from 'node:util';
import type { OptionRule } from './check-options.js';
import { DownloadAuthConfigurationError } from './configuration-error.js';
import { errorReason } from './error-reason.js';
import { ThrottledLogger } from './throttled-logger.js';

const logger = new ThrottledLogger('DownloadAuth');

/** The rule for a function that has to answer at once, where a promise would pass for a value. */
export const callableAtOnce: OptionRule = (value) => {
  if (typeof value !== 'function') {
    return 'give a function.';
  }
  return types.isAsyncFunction(value)
    ? 'give a function that is not async: it has to answer at once.'
    : undefined;
};

/**
 * Calls a function that the application gave as an option. If it fails, with anything but an answer of its
 * own (an `HttpException`), the log names the option, and the error goes on.
 */
export async function asked<Answer>(option: string, call: () => Answer): Promise<Awaited<Answer>> {
  try {
    return await call();
  } catch (error) {
    throw failed(option, error);
  }
}

/** As {@link asked}, for a function that has to answer at once. */
export function askedAtOnce<Answer>(option: string, call: () => Answer): Answer {
  try {
    return atOnce(option, call());
  } catch (error) {
    throw failed(option, error);
  }
}

/** @throws DownloadAuthConfigurationError for an answer that is a promise */
export function atOnce<Answer>(option: string, answer: Answer): Answer {
  if (types.isPromise(answer)) {
    // One that rejects would end the process
    answer.catch(() => undefined);
    throw new DownloadAuthConfigurationError(`${option}: return the answer itself, not a promise.`);
  }
  return answer;
}

function failed(option: string, error: unknown): unknown {
  if (!(error instanceof HttpException)) {
    const reason = errorReason(error);
    logger.error(`${option} ${reason}`, `${option} failed: ${reason}`, error);
  }
  return error;
}
