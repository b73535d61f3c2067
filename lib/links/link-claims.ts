import { randomBytes } from 'node:crypto';
import { normalizeBlock } from '../leases/client.js';
import type { LeasedLink } from '../leases/counted-delivery.js';
import { resumeWithin } from '../leases/options.js';
import {
  boolean,
  checkOptions,
  date,
  duration,
  oneOf,
  rule,
  text,
  wholeNumber,
} from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import type { GrantedLink } from '../tokens/grant.js';
import type { CreateLinkOptions, LinkBindingOptions, LinkTarget } from './link.js';
import { MAX_LINK_LIFETIME } from './link-options.js';

/** The `typ` of link tokens (RFC 7515 §4.1.9), which tells them from access tokens (RFC 8725 §3.11). */
export const LINK_TYPE = 'dl+jwt';

/** The `aud` of link tokens. */
export const LINK_AUDIENCE = 'urn:nestjs-download-auth:link';

/** The claims of a link token; moments are seconds since 1970, with milliseconds. */
export interface LinkClaims extends TokenClaims {
  aud: string;
  jti: string;
  iat: number;
  exp: number;
  /** Digest of the resource that the link opens. */
  res: string;
  /** File name, where the link fixes it. */
  fn?: string;
  /** Disposition, where the link fixes it. */
  dsp?: 'attachment' | 'inline';
  /** How often it may be used; `resume` is in seconds. */
  lim?: {
    readonly max?: number;
    readonly strict?: boolean;
    readonly resume?: number;
    readonly bytes?: number;
    readonly rev?: true;
  };
  /** Whom it is bound to. */
  bnd?: { readonly sub?: true; readonly net?: readonly string[] };
}

/** An option of `create`: what it may be, and which claim, or which member of `lim`, is made of it how. */
interface Row {
  readonly rule: OptionRule;
  readonly claim?: keyof LinkClaims;
  readonly limit?: keyof NonNullable<LinkClaims['lim']>;
  /** Default: the value itself. `undefined` makes no claim. */
  readonly write?: (value: never) => unknown;
}

const members = rule(
  (value) => typeof value === 'object' && value !== null,
  "give an object, such as { id: '42' }.",
);

/** The options of a target; they become the digest in `res`. */
export const TARGET_RULES: OptionRules<LinkTarget> = {
  params: members,
  query: members,
  hosts: members,
  path: text("such as '/files/:id'"),
};

const BINDING_RULES: OptionRules<LinkBindingOptions> = { signedIn: boolean, addresses: blocksAdvice };

/** The other options; {@link grantedLink} and {@link leasedLink} read their claims back. */
const TABLE: Readonly<Record<Exclude<keyof CreateLinkOptions, keyof LinkTarget>, Row>> = {
  expiresIn: { rule: duration() },
  expiresAt: { rule: date('new Date(Date.now() + 60_000)') },
  notBefore: {
    rule: date('new Date(Date.now() + 60_000)'),
    claim: 'nbf',
    write: (moment: Date) => moment.getTime() / 1000,
  },
  subject: { rule: text('such as String(user.id)'), claim: 'sub' },
  filename: { rule: text("such as 'report.pdf'"), claim: 'fn' },
  disposition: { rule: oneOf('attachment', 'inline'), claim: 'dsp' },
  bindTo: {
    rule: (value) => void checkOptions(value as object, BINDING_RULES, 'bindTo'),
    claim: 'bnd',
    write: ({ signedIn, addresses = [] }: LinkBindingOptions) => ({
      sub: signedIn || undefined,
      net: addresses.length > 0 ? [addresses].flat().map(normalizeBlock) : undefined,
    }),
  },
  claims: { rule: members },
  maxDownloads: { rule: wholeNumber(1, undefined, ', or leave it out for no limit'), limit: 'max' },
  strict: { rule: boolean, limit: 'strict' },
  resumeWithin: {
    rule: resumeWithin,
    limit: 'resume',
    write: (value: Duration) => durationInSeconds(value, 'resumeWithin'),
  },
  byteBudget: { rule: wholeNumber(1), limit: 'bytes' },
  revocable: { rule: boolean, limit: 'rev', write: (value: boolean) => value || undefined },
};

const ROWS = Object.entries(TABLE) as (readonly [keyof typeof TABLE, Row])[];

/** The rules of all options of `create`. */
export const CREATE_RULES = {
  ...TARGET_RULES,
  ...Object.fromEntries(ROWS.map(([option, row]) => [option, row.rule])),
} as OptionRules<CreateLinkOptions>;

/** Claims that the caller of `create` cannot set: this package or RFC 7519 §4.1 gives them a meaning. */
const RESERVED_CLAIMS: ReadonlySet<unknown> = new Set([
  ...['iss', 'aud', 'exp', 'iat', 'jti', 'res', 'lim'],
  ...ROWS.flatMap(([, { claim }]) => claim ?? []),
]);

/**
 * The claims of a link, from options that were found to follow {@link CREATE_RULES}.
 * @param now seconds since 1970
 * @param lifetime seconds, where the options name no end
 * @throws DownloadAuthConfigurationError for options that contradict one another, or a link that never opens
 */
export function linkClaims(
  options: CreateLinkOptions,
  resource: string,
  now: number,
  lifetime: number,
): LinkClaims {
  const { subject, bindTo, claims: own = {} } = options;
  if ('subject' in options && subject === undefined) {
    throw new DownloadAuthConfigurationError(
      'subject: undefined would make a link for anybody. Give the member of the user that holds the id, such as ' +
        'user.sub, or leave subject out for a link without one.',
    );
  }
  if (bindTo?.signedIn && subject === undefined) {
    throw new DownloadAuthConfigurationError('bindTo.signedIn: say whom the link is for: subject: user.sub.');
  }
  const reserved = Object.keys(own).find((name) => RESERVED_CLAIMS.has(name));
  if (reserved !== undefined) {
    throw new DownloadAuthConfigurationError(
      `claims.${reserved}: this name is reserved. Use the option for it, or another name.`,
    );
  }
  const claims: LinkClaims = {
    ...own,
    aud: LINK_AUDIENCE,
    jti: randomBytes(16).toString('base64url'),
    iat: now,
    exp: expiry(options, now, lifetime),
    res: resource,
    ...written(options, 'claim'),
    lim: written(options, 'limit'),
  };
  if (claims.nbf !== undefined && claims.nbf >= claims.exp) {
    throw new DownloadAuthConfigurationError('notBefore: the link would end before it begins.');
  }
  return claims;
}

/** The claims that {@link TABLE} makes of the options, or the members of `lim`; `undefined` for none. */
function written(options: CreateLinkOptions, place: 'claim' | 'limit'): Record<string, unknown> | undefined {
  const entries = ROWS.flatMap(([option, { write, ...row }]) => {
    const value = options[option];
    const result: unknown = write && value !== undefined ? write(value as never) : value;
    return row[place] === undefined || result === undefined ? [] : [[row[place], result] as const];
  });
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function expiry({ expiresIn, expiresAt }: CreateLinkOptions, now: number, lifetime: number): number {
  if (expiresIn !== undefined && expiresAt !== undefined) {
    throw new DownloadAuthConfigurationError('Give expiresIn or expiresAt, not both.');
  }
  const life = expiresIn === undefined ? lifetime : durationInSeconds(expiresIn, 'expiresIn');
  const exp = expiresAt === undefined ? now + life : expiresAt.getTime() / 1000;
  if (exp <= now) {
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

/** Whether a token of this `typ` says that it is a link token; only its signature proves it. */
export function claimsToBeLink(typ: string | undefined): boolean {
  const type = typ?.toLowerCase();
  return type === LINK_TYPE || type === `application/${LINK_TYPE}`;
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
    ['number', 'undefined'].includes(typeof nbf) &&
    ['string', 'undefined'].includes(typeof sub)
  );
}

/** When a link ends, in seconds since 1970; `maxAge` is in seconds. */
export function endOf({ exp, iat }: LinkClaims, maxAge = Infinity): number {
  return Math.min(exp, iat + maxAge);
}

/** What the handler sees of a link. */
export function grantedLink(claims: LinkClaims): GrantedLink {
  return {
    id: claims.jti,
    resource: claims.res,
    maxDownloads: claims.lim?.max,
    issuedAt: new Date(milliseconds(claims.iat)),
    expiresAt: new Date(milliseconds(claims.exp)),
    filename: claims.fn,
    disposition: claims.dsp,
  };
}

/** What the keeper of leases needs to know of a link. */
export function leasedLink(claims: LinkClaims, maxAge?: number): LeasedLink {
  const { max, strict, resume, bytes, rev } = claims.lim ?? {};
  return {
    id: claims.jti,
    subject: claims.sub,
    resource: claims.res,
    issuedAt: milliseconds(claims.iat),
    expiresAt: milliseconds(endOf(claims, maxAge)),
    maxDownloads: max,
    strict,
    resumeWithin: resume === undefined ? undefined : milliseconds(resume),
    byteBudget: bytes,
    revocable: rev,
  };
}

/** Milliseconds, without the fraction that a token's seconds may add. */
export function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

function blocksAdvice(blocks: unknown): string | undefined {
  try {
    [blocks].flat().forEach((block) => normalizeBlock(block as string));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
