import type { TokenClaims } from '../options/download-auth-options.js';
import type { RefusalCode } from '../refusals/download-refusal.js';

/** What an access token must say for the application to accept it. */
export interface AccessClaimsPolicy {
  /** Accepted `iss`; empty: not checked. */
  readonly issuers: readonly string[];
  /** Accepted `aud`, any of them; empty: not checked. */
  readonly audiences: readonly string[];
  readonly requireExpiration: boolean;
  /** Seconds. */
  readonly clockTolerance: number;
}

/**
 * Checks the registered claims of an access token whose signature is good (RFC 7519 §4.1).
 * @param now seconds since 1970
 * @returns why the token is refused, `undefined` where it is not
 */
export function checkAccessClaims(
  claims: TokenClaims,
  policy: AccessClaimsPolicy,
  now: number,
): RefusalCode | undefined {
  const { exp, nbf, iat } = claims as Record<string, unknown>;
  if (!isOptionalDate(exp) || !isOptionalDate(nbf) || !isOptionalDate(iat)) return 'TOKEN_INVALID';
  if (exp === undefined && policy.requireExpiration) return 'TOKEN_INVALID';
  if (policy.issuers.length > 0 && !policy.issuers.includes(claims.iss as string)) return 'TOKEN_INVALID';
  if (policy.audiences.length > 0 && !isMeantFor(claims.aud, policy.audiences)) return 'TOKEN_INVALID';
  if (exp !== undefined && now >= exp + policy.clockTolerance) return 'TOKEN_EXPIRED';
  if (nbf !== undefined && now + policy.clockTolerance < nbf) return 'TOKEN_NOT_YET_VALID';
  return undefined;
}

/**
 * Whether a token was issued before a moment. Whole seconds are compared, as `iat` counts them: a token
 * issued in the very second of the moment passes. One without `iat` counts as issued before.
 */
export function isIssuedBefore(claims: TokenClaims, moment: Date): boolean {
  return claims.iat === undefined || claims.iat < Math.floor(moment.getTime() / 1000);
}

function isOptionalDate(value: unknown): value is number | undefined {
  return value === undefined || (typeof value === 'number' && Number.isFinite(value));
}

function isMeantFor(aud: unknown, audiences: readonly string[]): boolean {
  return Array.isArray(aud)
    ? aud.some((one) => audiences.includes(one as string))
    : audiences.includes(aud as string);
}
