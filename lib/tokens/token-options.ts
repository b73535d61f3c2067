import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type { DownloadAuthOptions } from '../options/download-auth-options.js';
import { durationInSeconds } from '../options/duration.js';
import { refuseUnknown } from '../options/unknown-option.js';
import { isValidDate } from '../options/valid-date.js';
import { type AcceptOptions, type AccessPolicy, mediaType } from './access-tokens.js';

const MAX_CLOCK_TOLERANCE = 10 * 60;

/** RFC 9068 §2.1 has `at+jwt`, most issuers write `JWT` or nothing. */
const ACCESS_TYPES = ['JWT', 'at+jwt'];

type PolicyOptions = Pick<
  DownloadAuthOptions,
  | 'issuer'
  | 'audience'
  | 'accept'
  | 'requireExpiration'
  | 'clockTolerance'
  | 'maxTokenAge'
  | 'notIssuedBefore'
>;

/** @throws DownloadAuthConfigurationError that says what to write instead */
export function resolveAccessPolicy(options: PolicyOptions): AccessPolicy {
  const { accept = {} } = options;
  refuseUnknown(accept, ['typ', 'claims'], 'accept');
  return {
    issuers: listOf(options.issuer, 'issuer'),
    audiences: listOf(options.audience, 'audience'),
    types: listOf(accept.typ ?? ACCESS_TYPES, 'accept.typ').map(mediaType),
    claims: acceptedClaims(accept.claims),
    requireExpiration: options.requireExpiration ?? true,
    clockTolerance: clockTolerance(options.clockTolerance),
    maxTokenAge: maxTokenAge(options.maxTokenAge),
    notIssuedBefore: checkedMoment(options.notIssuedBefore),
  };
}

function listOf(value: string | readonly string[] | undefined, option: string): readonly string[] {
  if (value === undefined) {
    return [];
  }
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.some((one) => typeof one !== 'string' || one === '')) {
    throw new DownloadAuthConfigurationError(
      `${option}: give a string or a list of strings, or leave it out to not check it.`,
    );
  }
  return list as readonly string[];
}

function acceptedClaims(claims: AcceptOptions['claims'] = {}): AccessPolicy['claims'] {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new DownloadAuthConfigurationError(
      "accept.claims: give an object of claims, such as { token_use: 'access' }.",
    );
  }
  return new Map(
    Object.entries(claims).map(([name, value]) => {
      const values = [value].flat();
      const areScalars = values.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
      if (values.length === 0 || !areScalars) {
        throw new DownloadAuthConfigurationError(
          `accept.claims.${name}: give a string, a number, a boolean or a list of them.`,
        );
      }
      return [name, values];
    }),
  );
}

function clockTolerance(value: DownloadAuthOptions['clockTolerance']): number {
  const seconds = durationInSeconds(value ?? 0, 'clockTolerance');
  if (seconds > MAX_CLOCK_TOLERANCE) {
    throw new DownloadAuthConfigurationError(
      "clockTolerance: more than 10 minutes is no tolerance. It is seconds, or '30s'.",
    );
  }
  return seconds;
}

function maxTokenAge(value: DownloadAuthOptions['maxTokenAge']): number | undefined {
  const seconds = value === undefined ? undefined : durationInSeconds(value, 'maxTokenAge');
  if (seconds === 0) {
    throw new DownloadAuthConfigurationError(
      "maxTokenAge: 0 would refuse every token. Write a duration such as '12h'.",
    );
  }
  return seconds;
}

function checkedMoment(
  value: DownloadAuthOptions['notIssuedBefore'],
): DownloadAuthOptions['notIssuedBefore'] {
  if (value === undefined || typeof value === 'function' || isValidDate(value)) {
    return value;
  }
  throw new DownloadAuthConfigurationError(
    "notIssuedBefore: give a valid Date, such as new Date('2026-01-31T00:00:00Z').",
  );
}
