import { Logger } from '@nestjs/common';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { isValidDate } from '../shared/valid-date.js';
import { DownloadRefusal, type RefusalCode } from '../refusals/download-refusal.js';
import { printable, ThrottledLogger } from '../shared/throttled-logger.js';
import type { JoseHeader, TokenClaims, UnverifiedToken } from './compact-jws.js';
import { type KeySource, misfitOf } from './keys.js';
import type { RememberingVerifier } from './signatures.js';

type ClaimValue = string | number | boolean;

/** Which of the genuine tokens of a key are access tokens (RFC 8725 §3.11, §3.12). */
export interface AcceptOptions {
  /**
   * The `typ` of the header, any of several; `application/` before it and its case do not matter, and a token
   * without one counts as `JWT`. Default `['JWT', 'at+jwt']`, which leaves out `logout+jwt`, `secevent+jwt`
   * and other tokens that say what they are for.
   */
  typ?: string | readonly string[];
  /**
   * Claims that the token must have, with the value or one of the values: `{ token_use: 'access' }`. Of a
   * claim that is a list, one member must be among them. Default: none.
   */
  claims?: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>;
}

/** What an access token must say for the application to accept it. */
export interface AccessPolicy {
  /** Accepted `iss`; empty: not checked. */
  readonly issuers: readonly string[];
  /** Accepted `aud`, any of them; empty: not checked. */
  readonly audiences: readonly string[];
  /** Accepted `typ`, in the form of {@link mediaType}. */
  readonly types: readonly string[];
  /** Accepted values by the name of the claim. */
  readonly claims: ReadonlyMap<string, readonly ClaimValue[]>;
  readonly requireExpiration: boolean;
  /** Seconds. */
  readonly clockTolerance: number;
  /** Seconds since `iat`. */
  readonly maxTokenAge: number | undefined;
  readonly notIssuedBefore: Date | CutOff | undefined;
}

type CutOff = (claims: TokenClaims) => Date | undefined | Promise<Date | undefined>;

/** Why a genuine token is refused: the code, and where the code's own sentence is too general, a sentence. */
interface Rejection {
  readonly code: RefusalCode;
  readonly reason?: string;
}

interface AccessTokenOptions {
  readonly keySource: KeySource;
  readonly accessPolicy: AccessPolicy;
  readonly clock: () => number;
}

const logger = new Logger('DownloadAuth');

/** Verifies the application's own tokens. */
export class AccessTokens {
  private readonly warnings = new ThrottledLogger('DownloadAuth', Infinity);

  constructor(
    private readonly options: AccessTokenOptions,
    private readonly signatures: RememberingVerifier,
  ) {}

  /**
   * The claims of a genuine access token.
   * @throws DownloadRefusal `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`, `TOKEN_CUT_OFF`,
   *   `KEY_UNAVAILABLE`
   */
  async authenticate(unverified: UnverifiedToken, request: unknown): Promise<TokenClaims> {
    const { accessPolicy, clock } = this.options;
    const key = await this.options.keySource.find(unverified, request);
    const misfit = typeof key === 'string' ? key : misfitOf(unverified, key.algorithms);
    if (typeof key === 'string' || misfit !== undefined) {
      throw invalidToken(misfit as string);
    }
    const claims = await this.signatures.verify(unverified, key.key);
    if (!claims) {
      throw invalidToken('The signature does not fit the key: it was signed with another one, or altered.');
    }
    const rejection =
      checkAccessToken(unverified.header, claims, accessPolicy, clock() / 1000) ??
      (await checkCutOff(claims, accessPolicy.notIssuedBefore));
    if (rejection) {
      const refusal = new DownloadRefusal(rejection.code, { message: rejection.reason });
      debugRefusal(rejection.code, refusal.message);
      throw refusal;
    }
    this.warnAboutAudience(claims);
    return claims;
  }

  /** Says once that access tokens arrive in the query string, where links would do. */
  warnAboutQuery(): void {
    this.warnings.warn(
      'query',
      'An access token arrived in the query string, where proxies log it and browsers remember it. Mint a link ' +
        "with DownloadLinks instead, and set transports: { query: 'links' } to refuse access tokens there.",
    );
  }

  /**
   * RFC 7519 §4.1.3: a token for another audience must be rejected, and without `audience` that cannot be
   * told.
   */
  private warnAboutAudience({ aud }: TokenClaims): void {
    const { audiences, claims } = this.options.accessPolicy;
    if (aud === undefined || audiences.length > 0 || claims.has('aud')) {
      return;
    }
    this.warnings.warn(
      'audience',
      'An access token with an aud was accepted unchecked, as no audience is configured: tokens that are meant ' +
        'for other services are accepted too. Write audience: with what your tokens for this service have.',
    );
  }
}

/** A token that is refused before its signature was found good: only the log says why. */
export function invalidToken(reason: string): DownloadRefusal {
  debugRefusal('TOKEN_INVALID', reason);
  return new DownloadRefusal('TOKEN_INVALID');
}

function debugRefusal(code: RefusalCode, reason: string): void {
  logger.debug(printable(`An access token is refused with ${code}. ${reason}`));
}

/** A `typ` as it is compared: in lower case, without the prefix that may be left out (RFC 7515 §4.1.9). */
export function mediaType(typ: string): string {
  const type = typ.toLowerCase();
  const prefix = 'application/';
  const rest = type.startsWith(prefix) ? type.slice(prefix.length) : type;
  return rest.includes('/') ? type : rest;
}

/**
 * Checks the header and the registered claims of an access token whose signature is good (RFC 7519 §4.1).
 * @param now seconds since 1970
 */
function checkAccessToken(
  { typ = 'JWT' }: JoseHeader,
  claims: TokenClaims,
  policy: AccessPolicy,
  now: number,
): Rejection | undefined {
  const { exp, nbf, iat } = claims as Record<string, unknown>;
  if (!isOptionalDate(exp) || !isOptionalDate(nbf) || !isOptionalDate(iat)) {
    return invalid('It has a time (exp, nbf or iat) that is not a number.');
  }
  if (!policy.types.includes(mediaType(typ))) {
    return invalid('It is of another type (typ).');
  }
  for (const [name, values] of policy.claims) {
    if (!hasOneOf(claims[name], values)) {
      return invalid('It lacks a claim that access tokens must have here.');
    }
  }
  if (policy.issuers.length > 0 && !policy.issuers.includes(claims.iss as string)) {
    return invalid('It is not of an accepted issuer (iss).');
  }
  if (policy.audiences.length > 0 && !hasOneOf(claims.aud, policy.audiences)) {
    return invalid('It is meant for another audience (aud).');
  }
  return checkTimes({ exp, nbf, iat }, policy, now);
}

type Times = Record<'exp' | 'nbf' | 'iat', number | undefined>;

function checkTimes({ exp, nbf, iat }: Times, policy: AccessPolicy, now: number): Rejection | undefined {
  const { clockTolerance, maxTokenAge } = policy;
  if (exp === undefined && policy.requireExpiration) {
    return invalid('It has no expiry (exp).');
  }
  if (iat === undefined && maxTokenAge !== undefined) {
    return invalid('It does not say when it was issued (iat).');
  }
  const end = Math.min(exp ?? Infinity, (iat ?? Infinity) + (maxTokenAge ?? Infinity));
  if (now >= end + clockTolerance) {
    return { code: 'TOKEN_EXPIRED' };
  }
  if (nbf !== undefined && now + clockTolerance < nbf) {
    return { code: 'TOKEN_NOT_YET_VALID' };
  }
  // an iat in the future would outlive every cut-off
  const countsAge = policy.notIssuedBefore !== undefined || maxTokenAge !== undefined;
  if (countsAge && iat !== undefined && now + clockTolerance < iat) {
    return { code: 'TOKEN_NOT_YET_VALID', reason: 'The access token was issued in the future (iat).' };
  }
  return undefined;
}

async function checkCutOff(
  claims: TokenClaims,
  notIssuedBefore: AccessPolicy['notIssuedBefore'],
): Promise<Rejection | undefined> {
  const moment = typeof notIssuedBefore === 'function' ? await notIssuedBefore(claims) : notIssuedBefore;
  if (!moment) {
    return undefined;
  }
  if (!isValidDate(moment)) {
    throw new DownloadAuthConfigurationError(
      'notIssuedBefore: the function must return a valid Date, or undefined for a token that is not cut off.',
    );
  }
  return isIssuedBefore(claims, moment) ? { code: 'TOKEN_CUT_OFF' } : undefined;
}

/**
 * Whether a token was issued before a moment. Whole seconds are compared, as `iat` counts them: a token
 * issued in the very second of the moment passes. One without `iat` counts as issued before.
 */
function isIssuedBefore({ iat }: TokenClaims, moment: Date): boolean {
  return iat === undefined || iat < Math.floor(moment.getTime() / 1000);
}

function invalid(reason: string): Rejection {
  return { code: 'TOKEN_INVALID', reason: `The access token is not valid. ${reason}` };
}

function isOptionalDate(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === 'number' && Number.isFinite(value));
}

/** Whether a claim is one of the values, or a list that has one of them. */
function hasOneOf(claim: unknown, values: readonly unknown[]): boolean {
  return Array.isArray(claim) ? claim.some((one) => values.includes(one)) : values.includes(claim);
}
