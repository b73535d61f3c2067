import { randomBytes } from 'node:crypto';
import { normalizeBlock } from '../leases/client-address.js';
import { resumeWithinInSeconds } from '../leases/lease-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { type Duration, durationInSeconds } from '../shared/duration.js';
import { checkTypes } from '../shared/option-types.js';
import { refuseUnknown } from '../shared/unknown-option.js';
import { isValidDate } from '../shared/valid-date.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import type { GrantedLink } from '../tokens/grant.js';
import type { CreateLinkOptions } from './link.js';
import { MAX_LINK_LIFETIME } from './link-options.js';

/** The `typ` of link tokens (RFC 7515 §4.1.9), which tells them from access tokens (RFC 8725 §3.11). */
export const LINK_TYPE = 'dl+jwt';

const LINK_TYPES: readonly string[] = [LINK_TYPE, `application/${LINK_TYPE}`];

/** The `aud` of link tokens. */
export const LINK_AUDIENCE = 'urn:nestjs-download-auth:link';

/** The `lim` claim; durations in seconds. */
export interface LinkLimits {
  readonly max?: number;
  readonly strict?: boolean;
  readonly resume?: number;
  readonly bytes?: number;
  readonly rev?: true;
}

/** The `bnd` claim. */
export interface LinkBinding {
  readonly sub?: true;
  readonly net?: readonly string[];
}

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
const RESERVED_CLAIMS: ReadonlySet<string> = new Set([
  'iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'res', 'fn', 'dsp', 'lim', 'bnd',
]); // prettier-ignore

/** Turns the value of an option into that of its claim; undefined makes none. */
type Read = (value: unknown, option: string) => unknown;

/** Each option of `create` that is a claim of its own or a member of `lim`, and how it is read. */
const CLAIMS: readonly (readonly [option: keyof CreateLinkOptions, claim: string, read: Read])[] = [
  ['subject', 'sub', text],
  ['notBefore', 'nbf', secondsOf],
  ['filename', 'fn', text],
  ['disposition', 'dsp', disposition],
];
const LIMITS: typeof CLAIMS = [
  ['maxDownloads', 'max', counted],
  ['strict', 'strict', flag],
  ['resumeWithin', 'resume', (value, option) => resumeWithinInSeconds(value as Duration, option)],
  ['byteBudget', 'bytes', counted],
  ['revocable', 'rev', (value, option) => flag(value, option) || undefined],
];

/**
 * The claims of a link, as the caller of `create` wants it.
 * @param now seconds since 1970
 * @param lifetime seconds, where the caller says nothing
 * @throws DownloadAuthConfigurationError for what could not be read back, or would open nothing
 */
export function linkClaims(
  options: CreateLinkOptions,
  resource: string,
  now: number,
  lifetime: number,
): LinkClaims {
  if ('subject' in options && options.subject === undefined) {
    throw new DownloadAuthConfigurationError(
      'subject: undefined would make a link for anybody. Give the member of the user that holds the id, such as ' +
        'user.sub, or leave subject out for a link without one.',
    );
  }
  const claims: LinkClaims = {
    ...ownClaims(options.claims),
    aud: LINK_AUDIENCE,
    jti: randomBytes(16).toString('base64url'),
    iat: now,
    exp: expiry(options, now, lifetime),
    res: resource,
    ...members(options, CLAIMS),
    lim: members(options, LIMITS),
    bnd: binding(options),
  };
  if (claims.nbf !== undefined && claims.nbf >= claims.exp) {
    throw new DownloadAuthConfigurationError('notBefore: the link would end before it begins.');
  }
  return claims;
}

/** The claims that a table reads out of the options; undefined where there is none. */
function members(options: CreateLinkOptions, table: typeof CLAIMS): Record<string, unknown> | undefined {
  const entries = table
    .filter(([option]) => options[option] !== undefined)
    .map(([option, claim, read]) => [claim, read(options[option], option)] as const)
    .filter(([, value]) => value !== undefined);
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function binding({ bindTo, subject }: CreateLinkOptions): LinkBinding | undefined {
  if (bindTo === undefined) {
    return undefined;
  }
  refuseUnknown(bindTo, ['signedIn', 'addresses'], 'bindTo');
  checkTypes(bindTo, { signedIn: 'boolean' }, 'bindTo.');
  if (bindTo.signedIn && subject === undefined) {
    throw new DownloadAuthConfigurationError('bindTo.signedIn: say whom the link is for: subject: user.id.');
  }
  const blocks = [bindTo.addresses ?? []].flat();
  return {
    ...(bindTo.signedIn && { sub: true as const }),
    ...(blocks.length > 0 && { net: blocks.map(checkedBlock) }),
  };
}

function expiry({ expiresIn, expiresAt }: CreateLinkOptions, now: number, lifetime: number): number {
  if (expiresIn !== undefined && expiresAt !== undefined) {
    throw new DownloadAuthConfigurationError('Give expiresIn or expiresAt, not both.');
  }
  const exp =
    expiresAt !== undefined
      ? secondsOf(expiresAt, 'expiresAt')
      : now + (expiresIn === undefined ? lifetime : durationInSeconds(expiresIn, 'expiresIn'));
  if (!(exp > now)) {
    throw new DownloadAuthConfigurationError(
      'The link would have expired already. Give an expiry in the future.',
    );
  }
  if (exp - now > MAX_LINK_LIFETIME) {
    throw new DownloadAuthConfigurationError(
      "A link lives 7 days at most. Give a shorter expiresIn, such as '7d', and mint a new link when it is needed.",
    );
  }
  return exp;
}

/** The claims of the caller itself. */
function ownClaims(claims: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const reserved = Object.keys(claims).find((name) => RESERVED_CLAIMS.has(name));
  if (reserved) {
    throw new DownloadAuthConfigurationError(
      `claims.${reserved}: this name is reserved. Use the option for it, or another name.`,
    );
  }
  return claims;
}

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

/** Seconds since 1970. */
function secondsOf(date: unknown, option: string): number {
  if (isValidDate(date)) {
    return date.getTime() / 1000;
  }
  throw new DownloadAuthConfigurationError(
    `${option}: give a valid Date in the future, such as new Date(Date.now() + 60_000).`,
  );
}

function text(value: unknown, option: string): string {
  if (typeof value === 'string') {
    return value;
  }
  throw new DownloadAuthConfigurationError(`${option}: give a string, such as String(user.id).`);
}

function disposition(value: unknown, option: string): unknown {
  if (value === 'attachment' || value === 'inline') {
    return value;
  }
  throw new DownloadAuthConfigurationError(`${option}: write 'attachment' or 'inline'.`);
}

function flag(value: unknown, option: string): unknown {
  checkTypes({ [option]: value }, { [option]: 'boolean' });
  return value;
}

function counted(value: unknown, option: string): unknown {
  if (Number.isSafeInteger(value) && (value as number) >= 1) {
    return value;
  }
  throw new DownloadAuthConfigurationError(
    `${option}: give a whole number from 1 on, or leave it out for no limit.`,
  );
}

function checkedBlock(block: string): string {
  try {
    return normalizeBlock(block);
  } catch (error) {
    throw new DownloadAuthConfigurationError(`bindTo.addresses: ${(error as Error).message}`);
  }
}
