import type { AnyRequest } from '../http/http-exchange.js';
import {
  anything,
  boolean,
  callable,
  checkOptions,
  duration,
  isValidDate,
  rule,
} from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import type { TokenClaims } from './compact-jws.js';
import type { KeyOptions } from './keys.js';

type ClaimValue = string | number | boolean;

/** Which tokens of a key are access tokens (RFC 8725 §3.11, §3.12). */
export interface AcceptOptions {
  /**
   * The `typ` of the header, one or several. Case and a leading `application/` do not matter; a token without
   * `typ` counts as `JWT`. Default `['JWT', 'at+jwt']`, which leaves out `logout+jwt`, `secevent+jwt` and
   * other tokens that say what they are for.
   */
  typ?: string | readonly string[];
  /**
   * Claims that the token must have, each with one value or one of several: `{ token_use: 'access' }`. Where
   * the claim is a list, one of its members must match. Default: none.
   */
  claims?: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>;
}

/** The options of the module that say what an access token is. */
export interface AccessTokenOptions extends KeyOptions {
  /** The `iss` an access token must have, one of several. Default: not checked. */
  issuer?: string | readonly string[];
  /**
   * The `aud` an access token must have, one of several. Default: not checked; the log warns once when a
   * token has one (RFC 7519 §4.1.3).
   */
  audience?: string | readonly string[];
  /** Which tokens of the key are access tokens, where the application issues others with it. */
  accept?: AcceptOptions;
  /** Whether an access token must have an `exp`. Default `true`. */
  requireExpiration?: boolean;
  /** How far clocks may differ, for `exp`, `nbf` and `iat`. Default 0 seconds, at most 10 minutes. */
  clockTolerance?: Duration;
  /** Refuses access tokens whose `iat` is longer ago than this, in the future, or missing. Default: none. */
  maxTokenAge?: Duration;
  /**
   * Refuses access tokens whose `iat` is before this moment, in the future, or missing: after a leak or a
   * password change. A function decides per token and may return nothing. Default: none.
   */
  notIssuedBefore?: Date | ((claims: TokenClaims) => Date | undefined | Promise<Date | undefined>);
  /**
   * Called with the claims of a genuine access token. What it returns (or resolves to) becomes
   * `request.user`; a falsy value refuses with 403 `ACCESS_DENIED`. If it throws an HttpException, the client
   * gets that. Default: the claims become `request.user`.
   */
  validate?: (claims: TokenClaims, request: AnyRequest) => unknown;
}

/** What an access token must say to be accepted: the options with defaults and durations in seconds. */
export interface AccessPolicy {
  /** Empty: not checked. So with the audiences. */
  readonly issuers: readonly string[];
  readonly audiences: readonly string[];
  /** In the form of {@link mediaType}. */
  readonly types: readonly string[];
  /** Accepted values by the name of the claim. */
  readonly claims: ReadonlyMap<string, readonly ClaimValue[]>;
  readonly requireExpiration: boolean;
  readonly clockTolerance: number;
  readonly maxTokenAge: number | undefined;
  readonly notIssuedBefore: AccessTokenOptions['notIssuedBefore'];
}

/** RFC 9068 §2.1 has `at+jwt`, most issuers write `JWT` or nothing. */
const ACCESS_TYPES = ['JWT', 'at+jwt'];

const strings = rule((value) => {
  const list = [value].flat();
  return list.length > 0 && list.every((one) => typeof one === 'string' && one !== '');
}, 'give a string or a list of strings, or leave it out to not check it.');

export const ACCESS_TOKEN_RULES: OptionRules<Omit<AccessTokenOptions, keyof KeyOptions>> = {
  issuer: strings,
  audience: strings,
  accept: anything,
  requireExpiration: boolean,
  clockTolerance: duration({
    most: 10 * 60,
    advice: "write 10 minutes or less, in seconds or such as '30s'.",
  }),
  maxTokenAge: duration({ above: 0, advice: "0 would refuse every token. Write a duration such as '12h'." }),
  notIssuedBefore: rule(
    (value) => typeof value === 'function' || isValidDate(value),
    "give a valid Date, such as new Date('2026-01-31T00:00:00Z').",
  ),
  validate: callable,
};

const ACCEPT_RULES: OptionRules<AcceptOptions> = {
  typ: strings,
  claims: rule(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    "give an object of claims, such as { token_use: 'access' }.",
  ),
};

const claimValues = rule((value) => {
  const values = [value].flat();
  return values.length > 0 && values.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
}, 'give a string, a number, a boolean or a list of them.');

/**
 * Fills in the defaults of options that follow {@link ACCESS_TOKEN_RULES}.
 * @throws DownloadAuthConfigurationError for a mistake in `accept`
 */
export function resolveAccessPolicy(options: Omit<AccessTokenOptions, keyof KeyOptions>): AccessPolicy {
  const { accept = {}, requireExpiration = true, clockTolerance = 0, maxTokenAge, notIssuedBefore } = options;
  checkOptions(accept, ACCEPT_RULES, 'accept');
  const { typ = ACCESS_TYPES, claims = {} } = accept;
  for (const [name, value] of Object.entries(claims)) {
    const advice = claimValues(value);
    if (advice !== undefined) {
      throw new DownloadAuthConfigurationError(`accept.claims.${name}: ${advice}`);
    }
  }
  return {
    issuers: [options.issuer ?? []].flat(),
    audiences: [options.audience ?? []].flat(),
    types: [typ].flat().map(mediaType),
    claims: new Map(Object.entries(claims).map(([name, value]) => [name, [value].flat()])),
    requireExpiration,
    clockTolerance: durationInSeconds(clockTolerance),
    maxTokenAge: maxTokenAge === undefined ? undefined : durationInSeconds(maxTokenAge),
    notIssuedBefore,
  };
}

/** A `typ` for comparison: in lower case, without the prefix that may be left out (RFC 7515 §4.1.9). */
export function mediaType(typ: string): string {
  return typ.toLowerCase().replace(/^application\/(?=[^/]*$)/, '');
}
