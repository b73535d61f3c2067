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
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { normalizeBlock } from '../shared/ip-address.js';
import type { CreateLinkOptions, LinkBindingOptions, LinkTarget } from './link.js';
import { stateRule } from './link-state.js';

const members = rule(
  (value) => typeof value === 'object' && value !== null,
  "give an object, such as { id: '42' }.",
);
const nonEmpty = rule(
  (value) => typeof value === 'string' && value !== '',
  'give a text, such as String(user.id), or leave it out.',
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

/** Claims that the caller of `create` cannot set: this package or RFC 7519 §4.1 gives them a meaning. */
const RESERVED_CLAIMS = 'iss sub aud exp nbf iat jti res fn dsp win lim ask col st bnd'.split(' ');

/** Options that count downloads. */
const COUNTING = ['maxDownloads', 'strict', 'resumeWithin', 'byteBudget'] as const;

/** @throws DownloadAuthConfigurationError for options that contradict one another */
export function checkTogether(options: CreateLinkOptions, isCollection: boolean): void {
  if ('subject' in options && options.subject === undefined) {
    throw new DownloadAuthConfigurationError(
      'subject: undefined would make a link for anybody. Give the member of the user that holds the id, such as ' +
        'user.sub, or leave subject out for a link without one.',
    );
  }
  if ('state' in options && options.state === undefined) {
    throw new DownloadAuthConfigurationError(
      'state: undefined would make a link that depends on nothing. Give what it depends on, such as share.updatedAt, ' +
        'or leave state out.',
    );
  }
  if (options.bindTo?.signedIn && options.subject === undefined) {
    throw new DownloadAuthConfigurationError('bindTo.signedIn: say whom the link is for: subject: user.sub.');
  }
  if (options.expiresIn !== undefined && options.expiresAt !== undefined) {
    throw new DownloadAuthConfigurationError('Give expiresIn or expiresAt, not both.');
  }
  if (options.reuseWithin !== undefined) {
    const counted = COUNTING.find((name) => options[name] !== undefined);
    const bound = options.bindTo?.addresses?.length ? 'bindTo.addresses' : undefined;
    if (counted ?? bound) {
      throw new DownloadAuthConfigurationError(
        `reuseWithin: many people have the same link, so it has no ${counted ?? bound}. Leave one of the two out.`,
      );
    }
  }
  if (isCollection) {
    checkCollection(options);
  } else if (options.exchange !== undefined) {
    throw new DownloadAuthConfigurationError(
      'exchange: only a collection goes on without its token. Leave it out, or give free.',
    );
  }
  const reserved = Object.keys(options.claims ?? {}).find((name) => RESERVED_CLAIMS.includes(name));
  if (reserved !== undefined) {
    throw new DownloadAuthConfigurationError(
      `claims.${reserved}: this name is reserved. Use the option for it, or another name.`,
    );
  }
}

function checkCollection(options: CreateLinkOptions): void {
  const counting = COUNTING.find((name) => options[name] !== undefined);
  if (counting) {
    throw new DownloadAuthConfigurationError(
      `${counting}: a collection is many downloads, which nothing tells apart from one that is used often. ` +
        'Leave it out, and give the link a shorter life; or mint a link for each file.',
    );
  }
  if (options.filename !== undefined) {
    throw new DownloadAuthConfigurationError(
      'filename: the files of a collection would all have the same name. Leave it out, and name them in the handler.',
    );
  }
}

/** A token is JSON, which holds neither a BigInt nor a circle. */
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
