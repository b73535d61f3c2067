import type { LeasedLink } from '../leases/counted-delivery.js';
import type { LinkAsk } from '../prompts/options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import { normalizeBlock } from '../shared/ip-address.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import type { GrantedLink } from '../tokens/grant.js';
import type { Collection } from './link-resource.js';
import type { CreateLinkOptions } from './link.js';
import type { LocatedTarget } from './link-target.js';
import { MAX_LINK_LIFETIME } from './options.js';
import type { ResolvedLinkOptions } from './options.js';

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
  /** Seconds within which it is made again, unchanged. */
  win?: number;
  /** How often it may be used; `resume` is in seconds. */
  lim?: {
    readonly max?: number;
    readonly strict?: boolean;
    readonly resume?: number;
    readonly bytes?: number;
    readonly rev?: true;
  };
  /** What it asks for before it opens. */
  ask?: LinkAsk;
  /** What it opens, where that is more than one resource; `leads`: to the URL without the token. */
  col?: Collection & { readonly leads?: true };
  /** Keyed digest of what it depends on. */
  st?: string;
  /** Whom it is bound to. */
  bnd?: { readonly sub?: true; readonly net?: readonly string[] };
}

/** What a link says; its id is given to it when it is signed. */
export type LinkTerms = Omit<LinkClaims, 'jti'>;

/** Claims that the caller of `create` cannot set: this package or RFC 7519 §4.1 gives them a meaning. */
export const RESERVED_CLAIMS: readonly string[] =
  'iss sub aud exp nbf iat jti res fn dsp win lim ask col st bnd'.split(' ');

/** The claims of a link but its id and its state, from checked options; `now` is in seconds. */
export function linkClaims(
  options: CreateLinkOptions,
  { resource, collection }: LocatedTarget,
  now: number,
  settings: Pick<ResolvedLinkOptions, 'expiresIn' | 'maxAge'>,
): LinkTerms {
  const { expiresAt, notBefore, bindTo: { signedIn, addresses = [] } = {} } = options;
  const win = seconds(options.reuseWithin);
  const iat = win === undefined ? now : Math.floor(now / win) * win;
  const life = (win ?? 0) + (seconds(options.expiresIn) ?? settings.expiresIn);
  const wanted = expiresAt ? expiresAt.getTime() / 1000 : iat + life;
  const exp = Math.min(wanted, iat + (settings.maxAge ?? Infinity));
  const nbf = notBefore && notBefore.getTime() / 1000;
  checkTimes(now, iat, wanted, exp, nbf);
  return {
    ...options.claims,
    aud: LINK_AUDIENCE,
    iat,
    exp,
    nbf,
    res: resource,
    sub: options.subject,
    fn: options.filename,
    dsp: options.disposition,
    win,
    lim: unlessEmpty({
      max: options.maxDownloads,
      strict: options.strict,
      resume: seconds(options.resumeWithin),
      bytes: options.byteBudget,
      rev: options.revocable === true || undefined,
    }),
    ask: askOf(options),
    col: collection && { ...collection, leads: options.exchange === 'redirect' || undefined },
    bnd: unlessEmpty({
      sub: signedIn === true || undefined,
      net: addresses.length > 0 ? [addresses].flat().map(normalizeBlock) : undefined,
    }),
  };
}

function askOf({ confirm, challenge }: CreateLinkOptions): LinkAsk | undefined {
  if (challenge) {
    return 'challenge';
  }
  return confirm === true ? 'confirm' : confirm || undefined;
}

function unlessEmpty<Members extends object>(members: Members): Members | undefined {
  return Object.values(members).some((member) => member !== undefined) ? members : undefined;
}

function seconds(value: Duration | undefined): number | undefined {
  return value === undefined ? undefined : durationInSeconds(value);
}

function checkTimes(now: number, iat: number, wanted: number, exp: number, nbf = 0): void {
  if (wanted <= now) {
    throw new DownloadAuthConfigurationError(
      'The link would have expired already. Give an expiry in the future.',
    );
  }
  if (wanted - iat > MAX_LINK_LIFETIME) {
    throw new DownloadAuthConfigurationError(
      "A link lives 7 days at most, reuseWithin included. Give a shorter expiresIn, such as '7d', and mint a new " +
        'link when it is needed.',
    );
  }
  if (nbf >= exp) {
    throw new DownloadAuthConfigurationError('notBefore: the link would end before it begins.');
  }
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
export function grantedLink(claims: LinkClaims, maxAge?: number): GrantedLink {
  return {
    id: claims.jti,
    resource: claims.res,
    maxDownloads: claims.lim?.max,
    issuedAt: new Date(milliseconds(claims.iat)),
    expiresAt: new Date(milliseconds(endOf(claims, maxAge))),
    reuseWithin: claims.win,
    filename: claims.fn,
    disposition: claims.dsp,
    collection: claims.col && {
      free: claims.col.free,
      path: claims.col.path,
      exchange: claims.col.leads ? 'redirect' : 'cookie',
    },
    state: claims.st,
  };
}

/** What the keeper needs to know of a link; `part` is the digest of what is asked for of a collection. */
export function leasedLink(claims: LinkClaims, maxAge?: number, part?: string): LeasedLink {
  const { max, strict, resume, bytes, rev } = claims.lim ?? {};
  // A link that many have, or to many files, is not counted, not even for resumes after its end
  const isShared = claims.win !== undefined || claims.col !== undefined;
  return {
    id: claims.jti,
    subject: claims.sub,
    resource: claims.res,
    part,
    issuedAt: milliseconds(claims.iat),
    expiresAt: milliseconds(endOf(claims, maxAge)),
    maxDownloads: max,
    strict,
    resumeWithin: isShared ? 0 : resume && milliseconds(resume),
    byteBudget: bytes,
    revocable: rev,
  };
}

/** Milliseconds, without the fraction that a token's seconds may add. */
export function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}
