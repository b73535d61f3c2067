import { Logger } from '@nestjs/common';
import { isValidDate } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import { printable, ThrottledLogger } from '../shared/throttled-logger.js';
import type { JoseHeader, TokenClaims, UnverifiedToken } from './compact-jws.js';
import { misfitOf } from './keys.js';
import type { KeySource } from './keys.js';
import type { RememberingVerifier } from './signatures.js';
import { mediaType } from './token-options.js';
import type { AccessPolicy } from './token-options.js';

/** Why a genuine token is refused; the reason stands where the message of the code is too general. */
interface Rejection {
  readonly code: RefusalCode;
  readonly reason?: string;
}

interface AccessTokenOptions {
  readonly keySource: KeySource | undefined;
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
    const key =
      (await this.options.keySource?.find(unverified, request)) ?? 'There is no key for access tokens.';
    if (typeof key === 'string') {
      throw invalidToken(key);
    }
    const misfit = misfitOf(unverified, key.algorithms);
    if (misfit !== undefined) {
      throw invalidToken(misfit);
    }
    const claims = await this.signatures.verify(unverified, key.key);
    if (!claims) {
      throw invalidToken(
        'The signature does not fit the key: the token was signed with another one, or altered.',
      );
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

  /** Warns once that access tokens arrive in the query string. */
  warnAboutQuery(): void {
    this.warnings.warn(
      'query',
      'An access token arrived in the query string, where proxies log it and browsers keep it in the history. Mint ' +
        "a link with DownloadLinks instead, and set transports: { query: 'links' } to refuse access tokens there.",
    );
  }

  /** RFC 7519 §4.1.3: a token for another audience must be rejected, which needs the option `audience`. */
  private warnAboutAudience({ aud }: TokenClaims): void {
    const { audiences, claims } = this.options.accessPolicy;
    if (aud === undefined || audiences.length > 0 || claims.has('aud')) {
      return;
    }
    this.warnings.warn(
      'audience',
      'An access token has an aud, which was not checked because no audience is configured: tokens for other ' +
        'services are accepted too. Set audience: to the aud of the tokens for this service.',
    );
  }
}

/** Refuses a token before its signature is verified: only the log says why. */
export function invalidToken(reason: string): DownloadRefusal {
  debugRefusal('TOKEN_INVALID', reason);
  return new DownloadRefusal('TOKEN_INVALID');
}

function debugRefusal(code: RefusalCode, reason: string): void {
  logger.debug(printable(`An access token is refused with ${code}. ${reason}`));
}

/** Checks header and claims of an access token with a good signature (RFC 7519 §4.1). `now` is in seconds. */
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
    return invalid('It is not from an accepted issuer (iss).');
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
  // a token with an iat in the future would outlive every cut-off
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
      'notIssuedBefore: the function must return a valid Date, or undefined for no cut-off.',
    );
  }
  // iat counts whole seconds: a token issued in the second of the cut-off passes
  const isCutOff = claims.iat === undefined || claims.iat < Math.floor(moment.getTime() / 1000);
  return isCutOff ? { code: 'TOKEN_CUT_OFF' } : undefined;
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
