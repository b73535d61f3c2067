import { resumeWithin } from '../leases/options.js';
import {
  boolean,
  checkOptions,
  date,
  duration,
  isValidDate,
  oneOf,
  rule,
  text,
  wholeNumber,
} from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { durationInSeconds } from '../shared/duration.js';
import { normalizeBlock } from '../shared/ip-address.js';
import type { CreateLinkOptions, LinkBindingOptions, LinkTarget } from './link.js';
import { RESERVED_CLAIMS } from './link-claims.js';
import type { LinkSettings } from './options.js';
import type { LocatedTarget } from './link-target.js';

const members = rule(
  (value) => typeof value === 'object' && value !== null,
  "give an object, such as { id: '42' }.",
);
const nonEmpty = rule(
  (value) => typeof value === 'string' && value !== '',
  'give a text, such as String(user.id), or leave it out.',
);
/** The rule for what a link may depend on. */
export const stateRule = rule(
  isLinkedState,
  'give a string, a number, a boolean, a valid Date, null or a list of them, such as share.updatedAt.',
);

const moment = date('new Date(Date.now() + 60_000)');

/** The options of a target; they become the digest in `res`. */
export const TARGET_RULES: OptionRules<LinkTarget> = {
  params: members,
  query: members,
  hosts: members,
  path: text("such as '/files/:id'"),
  free: rule(
    (names) => Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string'),
    "give the names of parameters, such as ['file'], or leave it out.",
  ),
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
  exchange: oneOf('cookie', 'redirect'),
  state: stateRule,
  subject: nonEmpty,
  filename: text("such as 'report.pdf'"),
  disposition: oneOf('attachment', 'inline'),
  bindTo: (value) => void checkOptions(value as object, BINDING_RULES, 'bindTo'),
  claims: rule(fitsToken, 'give an object of what JSON can hold, such as { share: 7 }; a BigInt as text.'),
  maxDownloads: wholeNumber(1, undefined, ', or leave it out for no limit'),
  strict: boolean,
  resumeWithin,
  byteBudget: wholeNumber(1),
  revocable: boolean,
  confirm: oneOf('browsers', true, false),
  challenge: boolean,
};

/** Options that count downloads. */
const COUNTING = ['maxDownloads', 'strict', 'resumeWithin', 'byteBudget'] as const;

/** Options that ask something before the link opens. */
const ASKING = ['confirm', 'challenge'] as const;

/** Checks options against one another, against what the link opens, and against those of the module. */
export function checkTogether(
  options: CreateLinkOptions,
  target: LocatedTarget,
  settings: LinkSettings,
): void {
  const advice =
    adviceOnOptions(options) ??
    adviceOnReuse(options, settings) ??
    adviceOnCollection(options, target) ??
    adviceOnRoute(options, target, settings);
  if (advice !== undefined) {
    throw new DownloadAuthConfigurationError(advice);
  }
}

function adviceOnOptions(options: CreateLinkOptions): string | undefined {
  if ('subject' in options && options.subject === undefined) {
    return (
      'subject: undefined would make a link for anybody. Give the member of the user that holds the id, such as ' +
      'user.sub, or leave subject out for a link without one.'
    );
  }
  if ('state' in options && options.state === undefined) {
    return (
      'state: undefined would make a link that depends on nothing. Give what it depends on, such as share.updatedAt, ' +
      'or leave state out.'
    );
  }
  if (options.bindTo?.signedIn && options.subject === undefined) {
    return 'bindTo.signedIn: say whom the link is for: subject: user.sub.';
  }
  if (options.expiresIn !== undefined && options.expiresAt !== undefined) {
    return 'Give expiresIn or expiresAt, not both.';
  }
  if (options.confirm && options.challenge) {
    return 'confirm: a link with a challenge counts nothing before the right answer either. Leave confirm out.';
  }
  const reserved = Object.keys(options.claims ?? {}).find((name) => RESERVED_CLAIMS.includes(name));
  return reserved && `claims.${reserved}: this name is reserved. Use the option for it, or another name.`;
}

function adviceOnReuse(options: CreateLinkOptions, { links }: LinkSettings): string | undefined {
  const { reuseWithin } = options;
  if (reuseWithin === undefined) {
    return undefined;
  }
  const name =
    COUNTING.find((one) => options[one] !== undefined) ??
    ASKING.find((one) => options[one]) ??
    (options.bindTo?.addresses?.length ? 'bindTo.addresses' : undefined);
  if (name) {
    return `reuseWithin: many people have the same link, so it cannot have ${name}. Leave one of the two out.`;
  }
  return links.maxAge !== undefined && durationInSeconds(reuseWithin) >= links.maxAge
    ? 'reuseWithin: links.maxAge would refuse the link while it is still given out. Write less than links.maxAge.'
    : undefined;
}

function adviceOnCollection(
  options: CreateLinkOptions,
  { collection, unset }: LocatedTarget,
): string | undefined {
  if (!collection) {
    return (
      options.exchange && 'exchange: only a collection goes on without its token. Leave it out, or give free.'
    );
  }
  const counting = COUNTING.find((name) => options[name] !== undefined);
  if (counting) {
    return (
      `${counting}: a collection is many downloads, which nothing tells apart from one that is used often. ` +
      'Leave it out, and give the link a shorter life; or mint a link for each file.'
    );
  }
  if (options.filename !== undefined) {
    return 'filename: the files of a collection would all have the same name. Leave it out, and name them in the handler.';
  }
  return unset.length > 0
    ? `params: say where the URL starts. Give a value for ${unset.join(', ')}, such as 'index.m3u8'.`
    : undefined;
}

function adviceOnRoute(
  options: CreateLinkOptions,
  { route: { label, method, answersItself, options: own } }: LocatedTarget,
  settings: LinkSettings,
): string | undefined {
  if (options.maxDownloads !== undefined && answersItself) {
    return (
      `${label} sends its answer itself, where no download can be counted, so no link to it can have ` +
      'maxDownloads. Write @Res({ passthrough: true }), and return a StreamableFile or a Download.'
    );
  }
  const asking = ASKING.find((name) => options[name]);
  if (asking && method !== 'GET') {
    return `${asking}: ${label} is opened by a form of yours, which is where to ask. Leave ${asking} out.`;
  }
  if (own && options.bindTo?.signedIn && !saysWhoIsSignedIn({ ...settings, ...own })) {
    return (
      `bindTo.signedIn: nothing says who is signed in at ${label}. Write subject: (request) => request.user?.id in ` +
      'forRoot() or @StreamDownload().'
    );
  }
  if (options.challenge && own && !(own.challenge ?? settings.challenge)) {
    return (
      'challenge: nothing says whether an answer is right. Write challenge: (answer, grant) => … in forRoot(), or in ' +
      `@StreamDownload() of ${label}.`
    );
  }
  return undefined;
}

/** An access token has its own subject. */
function saysWhoIsSignedIn({ auth, subject }: Pick<LinkSettings, 'auth' | 'subject'>): boolean {
  return auth === 'token' || subject !== undefined;
}

function isLinkedState(state: unknown): boolean {
  if (Array.isArray(state)) {
    return state.every(isLinkedState);
  }
  const isPlain = typeof state === 'string' || typeof state === 'boolean' || Number.isFinite(state);
  return state === null || isPlain || isValidDate(state);
}

/** JSON cannot hold a BigInt or a cycle. */
function fitsToken(claims: unknown): boolean {
  try {
    return JSON.stringify(claims).startsWith('{');
  } catch {
    return false;
  }
}

function blocksAdvice(blocks: unknown): string | undefined {
  try {
    [blocks].flat().forEach((block) => normalizeBlock(block as string));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
