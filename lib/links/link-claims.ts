import type { TokenClaims } from '../tokens/compact-jws.js';
import type { LinkBinding } from './link-binding.js';
import type { LinkLimits } from './link-limits.js';
import type { GrantedLink } from '../tokens/grant.js';

/** The `typ` of link tokens (RFC 7515 §4.1.9), which tells them from access tokens (RFC 8725 §3.11). */
export const LINK_TYPE = 'dl+jwt';

const LINK_TYPES: readonly string[] = [LINK_TYPE, `application/${LINK_TYPE}`];

/** The `aud` of link tokens. */
export const LINK_AUDIENCE = 'urn:nestjs-download-auth:link';

/** The claims of a link token. */
export interface LinkClaims extends TokenClaims {
  aud: string;
  jti: string;
  /** Seconds since 1970, to the millisecond: a link ends when it says so. */
  iat: number;
  exp: number;
  /** Digest of the resource that the link opens. */
  res: string;
  /** File name, where the link fixes it. */
  fn?: string;
  /** Disposition, where the link fixes it. */
  dsp?: 'attachment' | 'inline';
  /** How often it may be used, where that is limited. */
  lim?: LinkLimits;
  /** Whom it is bound to, where it is. */
  bnd?: LinkBinding;
}

/** Claims that the caller of `create` cannot set: they have a meaning already, here or in RFC 7519 §4.1. */
export const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'res', 'fn', 'dsp', 'lim', 'bnd',
]); // prettier-ignore

/** Whether a token of this `typ` says that it is a link token; whether it is one, the signature tells. */
export function claimsToBeLink(typ: string | undefined): boolean {
  return LINK_TYPES.includes(typ?.toLowerCase() ?? '');
}

/** Whether claims have the shape that this package gives them. */
export function isLinkClaims(claims: TokenClaims): claims is LinkClaims {
  const { aud, jti, iat, exp, nbf, res, sub } = claims as Record<string, unknown>;
  return (
    aud === LINK_AUDIENCE &&
    typeof jti === 'string' &&
    typeof iat === 'number' &&
    typeof exp === 'number' &&
    typeof res === 'string' &&
    (nbf === undefined || typeof nbf === 'number') &&
    (sub === undefined || typeof sub === 'string')
  );
}

export function describeLink(claims: LinkClaims): GrantedLink {
  return {
    id: claims.jti,
    resource: claims.res,
    maxDownloads: claims.lim?.max,
    issuedAt: new Date(Math.round(claims.iat * 1000)),
    expiresAt: new Date(Math.round(claims.exp * 1000)),
    filename: claims.fn,
    disposition: claims.dsp,
  };
}
