import type { LeasedLink } from '../leases/counted-delivery.js';
import { resumeWithin } from '../leases/options.js';
import type { LinkAsk } from '../prompts/options.js';
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
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import { normalizeBlock } from '../shared/ip-address.js';
import type { TokenClaims } from '../tokens/compact-jws.js';
import type { GrantedLink } from '../tokens/grant.js';
import type { CreateLinkOptions, LinkBindingOptions, LinkTarget } from './link.js';
import { askOf } from './link-ask.js';
import { MAX_LINK_LIFETIME } from './link-options.js';
import type { ResolvedLinkOptions } from './link-options.js';

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
  /** Whom it is bound to. */
  bnd?: { readonly sub?: true; readonly net?: readonly string[] };
}

const members = rule(
  (value) => typeof value === 'object' && value !== null,
  "give an object, such as { id: '42' }.",
);
const moment = date('new Date(Date.now() + 60_000)');

/** The options of a target; they become the digest in `res`. */
export const TARGET_RULES: OptionRules<LinkTarget> = {
  params: members,
  query: members,
  hosts: members,
  path: text("such as '/files/:id'"),
};

const BINDING_RULES: OptionRules<LinkBindingOptions> = { signedIn: boolean, addresses: blocksAdvice };

export const CREATE_RULES: OptionRules<CreateLinkOptions> = {
  ...TARGET_RULES,
  expiresIn: duration({
    above: 0,
    advice: 'the link would have expired already. Give an expiry in the future.',
  }),
  expiresAt: moment,
  notBefore: moment,
  reuseWithin: duration({
    above: 0,
    advice: "give the time for which a link stays the same, such as '10m'.",
  }),
  subject: text('such as String(user.id)'),
  filename: text("such as 'report.pdf'"),
  disposition: oneOf('attachment', 'inline'),
  bindTo: (value) => void checkOptions(value as object, BINDING_RULES, 'bindTo'),
  claims: members,
  maxDownloads: wholeNumber(1, undefined, ', or leave it out for no limit'),
  strict: boolean,
  resumeWithin,
  byteBudget: wholeNumber(1),
  revocable: boolean,
  confirm: oneOf('browsers', true, false),
  challenge: boolean,
};

/** Claims that the caller of `create` cannot set: this package or RFC 7519 §4.1 gives them a meaning. */
const RESERVED_CLAIMS = 'iss sub aud exp nbf iat jti res fn dsp win lim ask bnd'.split(' ');

/** Options that count or tell clients apart: such links cannot be the same for everybody who asks. */
const NOT_REUSABLE = ['maxDownloads', 'strict', 'resumeWithin', 'byteBudget'] as const;

/**
 * The claims of a link but its id, from options that were found to follow {@link CREATE_RULES}.
 * {@link grantedLink} and {@link leasedLink} read them back.
 *
 * @param now seconds since 1970
 * @param settings the module's options of links
 * @throws DownloadAuthConfigurationError for options that contradict one another, or a link that never opens
 */
export function linkClaims(
  options: CreateLinkOptions,
  resource: string,
  now: number,
  settings: Pick<ResolvedLinkOptions, 'expiresIn' | 'maxAge'>,
): Omit<LinkClaims, 'jti'> {
  checkTogether(options);
  const { notBefore, bindTo: { signedIn, addresses = [] } = {}, resumeWithin: resume } = options;
  const win = seconds(options.reuseWithin, 'reuseWithin');
  if (win !== undefined && settings.maxAge !== undefined && win >= settings.maxAge) {
    throw new DownloadAuthConfigurationError(
      'reuseWithin: links.maxAge would refuse the link while it is still given out. Write less than links.maxAge.',
    );
  }
  const iat = win === undefined ? now : Math.floor(now / win) * win;
  const claims = {
    ...options.claims,
    aud: LINK_AUDIENCE,
    iat,
    exp: expiry(options, now, iat, settings.expiresIn),
    nbf: notBefore && notBefore.getTime() / 1000,
    res: resource,
    sub: options.subject,
    fn: options.filename,
    dsp: options.disposition,
    win,
    lim: unlessEmpty({
      max: options.maxDownloads,
      strict: options.strict,
      // a link that many have is not counted, not even for resumes after its end
      resume: win === undefined ? seconds(resume, 'resumeWithin') : 0,
      bytes: options.byteBudget,
      rev: options.revocable === true || undefined,
    }),
    ask: askOf(options),
    bnd: unlessEmpty({
      sub: signedIn === true || undefined,
      net: addresses.length > 0 ? [addresses].flat().map(normalizeBlock) : undefined,
    }),
  };
  if (claims.nbf !== undefined && claims.nbf >= claims.exp) {
    throw new DownloadAuthConfigurationError('notBefore: the link would end before it begins.');
  }
  return claims;
}

/** @throws DownloadAuthConfigurationError for options that contradict one another */
function checkTogether(options: CreateLinkOptions): void {
  if ('subject' in options && options.subject === undefined) {
    throw new DownloadAuthConfigurationError(
      'subject: undefined would make a link for anybody. Give the member of the user that holds the id, such as ' +
        'user.sub, or leave subject out for a link without one.',
    );
  }
  if (options.bindTo?.signedIn && options.subject === undefined) {
    throw new DownloadAuthConfigurationError('bindTo.signedIn: say whom the link is for: subject: user.sub.');
  }
  if (options.expiresIn !== undefined && options.expiresAt !== undefined) {
    throw new DownloadAuthConfigurationError('Give expiresIn or expiresAt, not both.');
  }
  if (options.reuseWithin !== undefined) {
    const counted = NOT_REUSABLE.find((name) => options[name] !== undefined);
    const bound = options.bindTo?.addresses?.length ? 'bindTo.addresses' : undefined;
    if (counted ?? bound) {
      throw new DownloadAuthConfigurationError(
        `reuseWithin: many people have the same link, so it has no ${counted ?? bound}. Leave one of the two out.`,
      );
    }
  }
  const reserved = Object.keys(options.claims ?? {}).find((name) => RESERVED_CLAIMS.includes(name));
  if (reserved !== undefined) {
    throw new DownloadAuthConfigurationError(
      `claims.${reserved}: this name is reserved. Use the option for it, or another name.`,
    );
  }
}

function unlessEmpty<Members extends object>(members: Members): Members | undefined {
  return Object.values(members).some((member) => member !== undefined) ? members : undefined;
}

function seconds(value: Duration | undefined, option: string): number | undefined {
  return value === undefined ? undefined : durationInSeconds(value, option);
}

/** @param start when the link is issued, or the time began within which it may be reused */
function expiry(options: CreateLinkOptions, now: number, start: number, lifetime: number): number {
  const { expiresAt } = options;
  const life = seconds(options.expiresIn, 'expiresIn') ?? lifetime;
  const reusable = seconds(options.reuseWithin, 'reuseWithin') ?? 0;
  const exp = expiresAt ? expiresAt.getTime() / 1000 : start + reusable + life;
  if (exp <= now) {
    throw new DownloadAuthConfigurationError(
      'The link would have expired already. Give an expiry in the future.',
    );
  }
  if (exp - start > MAX_LINK_LIFETIME) {
    throw new DownloadAuthConfigurationError(
      "A link lives 7 days at most, reuseWithin included. Give a shorter expiresIn, such as '7d', and mint a new " +
        'link when it is needed.',
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
