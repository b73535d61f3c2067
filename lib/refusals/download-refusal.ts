import { HttpException } from '@nestjs/common';
import { STATUS_CODES } from 'node:http';
import type { ResponsePort } from '../http/response-port.js';
import { REFUSALS } from './refusals.js';
import type { RefusalDefinition } from './refusals.js';

/** Every reason for which a download is refused; the stable `code` of the answer's body. */
export type RefusalCode = keyof typeof REFUSALS;

/** RFC 6750 §3: what an `error_description` cannot hold. */
const NOT_IN_DESCRIPTION = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g;

/** What a refusal may carry beyond its code. */
export interface RefusalDetails {
  /** Replaces the standard sentence. Must not contain a token. */
  readonly message?: string;
  /** Seconds until trying again makes sense: the `Retry-After` header. */
  readonly retryAfter?: number;
  /** What went wrong underneath, for logs and exception filters; never sent. */
  readonly cause?: unknown;
  /** What decided it, in words for `NODE_DEBUG`; never sent. Must not contain a token. */
  readonly reason?: string;
}

/**
 * A download that was refused. With `refusals: 'throw'` the application's own filters catch it.
 *
 * `getResponse()` is Nest's `{ statusCode, message, error }` plus `code`; {@link headers} belong to the
 * answer: `Cache-Control: no-store`, the RFC 6750 §3 challenge of a 401 or 400,
 * `Retry-After` where waiting helps.
 */
export class DownloadRefusal extends HttpException {
  readonly code: RefusalCode;
  /** What the person who reads the answer can do now, as the built-in page says it. */
  readonly advice: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What decided it, where the code alone does not tell; for logs, never sent. */
  readonly reason?: string;

  constructor(code: RefusalCode, details: RefusalDetails = {}) {
    const definition: RefusalDefinition = REFUSALS[code];
    const message = details.message ?? definition.message;
    super(
      { statusCode: definition.status, message, error: STATUS_CODES[definition.status], code },
      definition.status,
      { cause: details.cause },
    );
    this.name = 'DownloadRefusal';
    this.message = message;
    this.code = code;
    this.advice = definition.advice;
    this.reason = details.reason;
    this.headers = refusalHeaders(definition, message, details.retryAfter);
  }
}

function refusalHeaders(definition: RefusalDefinition, message: string, retryAfter?: number) {
  const headers: Record<string, string> = {
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  };
  if (definition.challenge) {
    headers['WWW-Authenticate'] =
      definition.challenge === 'none'
        ? 'Bearer'
        : `Bearer error="${definition.challenge}", error_description="${message.replace(NOT_IN_DESCRIPTION, '')}"`;
  }
  const seconds = retryAfter ?? definition.retryAfter;
  if (seconds !== undefined) {
    headers['Retry-After'] = String(Math.max(1, Math.ceil(seconds)));
  }
  return headers;
}

const leftToApplication = new WeakSet<DownloadRefusal>();

/** Sets the header fields of a refusal; status and body are for the filters of the application to write. */
export function leaveToApplication(refusal: DownloadRefusal, port: ResponsePort): void {
  for (const [name, value] of Object.entries(refusal.headers)) {
    port.set(name, value);
  }
  leftToApplication.add(refusal);
}

/** What our own filter catches: Nest asks with `instanceof` which of the filters an exception is for. */
export class AnsweredRefusal {
  static [Symbol.hasInstance](error: unknown): boolean {
    return error instanceof DownloadRefusal && !leftToApplication.has(error);
  }
}
