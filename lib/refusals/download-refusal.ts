import { HttpException } from '@nestjs/common';
import { STATUS_CODES } from 'node:http';

/** Every reason for which a download is refused; the stable `code` of the answer's body. */
export type RefusalCode = keyof typeof REFUSALS;

interface RefusalDefinition {
  readonly status: number;
  /** One sentence for the person who reads the answer. Never names a claim, a key or a token. */
  readonly message: string;
  /** The `error` of the RFC 6750 §3.1 challenge, where the answer carries one. */
  readonly challenge?: 'invalid_token' | 'invalid_request' | 'none';
  /** Seconds for `Retry-After` (RFC 9110 §10.2.3), where the caller gives none. */
  readonly retryAfter?: number;
}

const REFUSALS = {
  TOKEN_MISSING: { status: 401, message: 'Sign in to download this file.', challenge: 'none' },
  TOKEN_INVALID: { status: 401, message: 'The access token is not valid.', challenge: 'invalid_token' },
  TOKEN_EXPIRED: { status: 401, message: 'The access token has expired.', challenge: 'invalid_token' },
  TOKEN_NOT_YET_VALID: {
    status: 401,
    message: 'The access token is not valid yet.',
    challenge: 'invalid_token',
  },
  TOKEN_CUT_OFF: {
    status: 401,
    message: 'The access token was issued before tokens of its age were withdrawn.',
    challenge: 'invalid_token',
  },
  TOKEN_AMBIGUOUS: {
    status: 400,
    message: 'The request carries more than one token.',
    challenge: 'invalid_request',
  },
  ACCESS_DENIED: { status: 403, message: 'You may not download this file.' },
  INSECURE_CONNECTION: {
    status: 403,
    message:
      'Downloads need a secure connection (HTTPS). Behind a proxy that ends TLS, let the application trust it ("trust proxy" on Express, trustProxy on Fastify).',
  },
  LINK_INVALID: { status: 403, message: 'This download link is not genuine.' },
  LINK_SCOPE: { status: 403, message: 'This download link was made for something else.' },
  LINK_SUBJECT: { status: 403, message: 'This download link was made for another user.' },
  LINK_ADDRESS: { status: 403, message: 'This download link cannot be used from this network.' },
  LINK_NOT_YET_VALID: { status: 403, message: 'This download link is not valid yet.', retryAfter: 60 },
  LINK_EXPIRED: { status: 410, message: 'This download link has expired.' },
  LINK_REVOKED: { status: 410, message: 'This download link has been revoked.' },
  LINK_USED_UP: { status: 410, message: 'This download link has been used up.' },
  PREFETCH_REFUSED: {
    status: 503,
    message: 'This download link counts its uses and is not opened ahead of time.',
    retryAfter: 1,
  },
  KEY_UNAVAILABLE: {
    status: 503,
    message: 'The access token cannot be checked at the moment.',
    retryAfter: 5,
  },
  STORE_UNAVAILABLE: {
    status: 503,
    message: 'This download link cannot be checked at the moment.',
    retryAfter: 5,
  },
} as const satisfies Record<string, RefusalDefinition>;

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
}

/**
 * A download that was refused, as an exception an application's own filter can catch.
 *
 * `getResponse()` is Nest's `{ statusCode, message, error }` plus `code`; {@link headers} are the
 * header fields that belong to the answer: `Cache-Control: no-store`, the RFC 6750 §3 challenge of
 * a 401 or 400, `Retry-After` where waiting helps.
 */
export class DownloadRefusal extends HttpException {
  readonly code: RefusalCode;
  readonly headers: Readonly<Record<string, string>>;

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
    this.headers = refusalHeaders(definition, message, details.retryAfter);
  }
}

function refusalHeaders(definition: RefusalDefinition, message: string, retryAfter?: number) {
  const headers: Record<string, string> = { 'Cache-Control': 'no-store' };
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
