import { Logger } from '@nestjs/common';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { RefusalCode, RefusalDetails } from '../refusals/download-refusal.js';
import { isValidDate } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { asked } from '../shared/hooks.js';
import { printable, ThrottledLogger } from '../shared/throttled-logger.js';
import type { JoseHeader, TokenClaims } from './compact-jws.js';
import type { KeySource } from './keys.js';
import type { SignatureVerifier, VerifiedTokens } from './signatures.js';
import { mediaType } from './token-options.js';
import type { AccessPolicy } from './token-options.js';

interface AccessTokensSettings {
  readonly keySource: KeySource | undefined;
  readonly accessPolicy: AccessPolicy;
  readonly clock: () => number;
}

const logger = new Logger('DownloadAuth');

/** Verifies the application's own tokens. */
export class AccessTokens {
  private readonly warnings = new ThrottledLogger('DownloadAuth', Infinity);

  constructor(
    private readonly options: AccessTokensSettings,
    private readonly tokens: VerifiedTokens,
    private readonly signatures: Pick<SignatureVerifier, 'isSigned'>,
  ) {}

  /**
   * The claims of a genuine access token.
   * @throws DownloadRefusal `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`, `TOKEN_CUT_OFF`,
   *   `KEY_UNAVAILABLE`
   */
  async authenticate(token: string, request: unknown): Promise<TokenClaims> {
    const { keySource, accessPolicy, clock } = this.options;
    const unverified = this.tokens.parse(token);
    if (!unverified) {
      throw invalidToken('It is not a JWT in compact serialization.');
    }
    const key = (await keySource?.find(unverified, request)) ?? 'There is no key for access tokens.';
    if (typeof key === 'string') {
      throw invalidToken(key);
    }
    const claims = await this.tokens.verify(unverified, key, () => this.signatures.isSigned(token, key));
    if (!claims) {
      throw invalidToken(
        'The signature does not fit the key: the token was signed with another one, or altered.',
      );
    }
    checkKind(unverified.header, claims, accessPolicy);
    checkTimes(claims, accessPolicy, clock() / 1000);
    await checkCutOff(claims, accessPolicy.notIssuedBefore);
    this.warnAboutAudience(claims);
    return claims;
  }

  /** Warns once that access tokens arrive in the query string. */
  warnAboutQuery(): void {
    this.warnings.warn(
      'query',
      'An access token arrived in the query string, where proxies log it and browsers keep it in the history. Mint ' +
        "a link with DownloadLinks instead, and set transports: { query: 'links' } to refuse access tokens there.",
    );
  }

  /** RFC 7519 §4.1.3: a token for another audience must be rejected, which needs the option `audience`. */
  private warnAboutAudience({ aud }: TokenClaims): void {
    const { audiences, claims } = this.options.accessPolicy;
    if (aud !== undefined && audiences.length === 0 && !claims.has('aud')) {
      this.warnings.warn(
        'audience',
        'An access token has an aud, which was not checked because no audience is configured: tokens for other ' +
          'services are accepted too. Set audience: to the aud of the tokens for this service.',
      );
    }
  }
}

/** Refuses a token before its signature is found good: only the log says why. */
export function invalidToken(reason: string): DownloadRefusal {
  return refused('TOKEN_INVALID', { reason });
}

/** Refuses a token whose signature is good: the answer says why. */
function invalid(reason: string): DownloadRefusal {
  return refused('TOKEN_INVALID', { message: `The access token is not valid. ${reason}` });
}

function refused(code: RefusalCode, details?: RefusalDetails): DownloadRefusal {
  const refusal = new DownloadRefusal(code, details);
  logger.debug(printable(`An access token is refused with ${code}. ${refusal.reason ?? refusal.message}`));
  return refusal;
}

/** Whether a token is an access token of this application (RFC 7519 §4.1). */
function checkKind({ typ = 'JWT' }: JoseHeader, claims: TokenClaims, policy: AccessPolicy): void {
  if (!policy.types.includes(mediaType(typ))) {
    throw invalid('It is of another type (typ).');
  }
  for (const [name, values] of policy.claims) {
    if (!hasOneOf(claims[name], values)) {
      throw invalid('It lacks a claim that access tokens must have here.');
    }
  }
  if (policy.issuers.length > 0 && !policy.issuers.includes(claims.iss as string)) {
    throw invalid('It is not from an accepted issuer (iss).');
  }
  if (policy.audiences.length > 0 && !hasOneOf(claims.aud, policy.audiences)) {
    throw invalid('It is meant for another audience (aud).');
  }
}

/** @param now in seconds */
function checkTimes({ exp, nbf, iat }: TokenClaims, policy: AccessPolicy, now: number): void {
  const { clockTolerance, maxTokenAge } = policy;
  if (![exp, nbf, iat].every((time) => time === undefined || Number.isFinite(time))) {
    throw invalid('It has a time (exp, nbf or iat) that is not a number.');
  }
  if (exp === undefined && policy.requireExpiration) {
    throw invalid('It has no expiry (exp).');
  }
  if (iat === undefined && maxTokenAge !== undefined) {
    throw invalid('It does not say when it was issued (iat).');
  }
  const end = Math.min(exp ?? Infinity, (iat ?? Infinity) + (maxTokenAge ?? Infinity));
  if (now >= end + clockTolerance) {
    throw refused('TOKEN_EXPIRED');
  }
  if (nbf !== undefined && now + clockTolerance < nbf) {
    throw refused('TOKEN_NOT_YET_VALID');
  }
  // a token with an iat in the future would outlive every cut-off
  const countsAge = policy.notIssuedBefore !== undefined || maxTokenAge !== undefined;
  if (countsAge && iat !== undefined && now + clockTolerance < iat) {
    throw refused('TOKEN_NOT_YET_VALID', { message: 'The access token was issued in the future (iat).' });
  }
}

async function checkCutOff(
  claims: TokenClaims,
  notIssuedBefore: AccessPolicy['notIssuedBefore'],
): Promise<void> {
  const moment =
    typeof notIssuedBefore === 'function'
      ? await asked('notIssuedBefore', () => notIssuedBefore(claims))
      : notIssuedBefore;
  if (!moment) {
    return;
  }
  if (!isValidDate(moment)) {
    throw new DownloadAuthConfigurationError(
      'notIssuedBefore: the function must return a valid Date, or undefined for no cut-off.',
    );
  }
  // iat counts whole seconds: a token issued in the second of the cut-off passes
  if (claims.iat === undefined || claims.iat < Math.floor(moment.getTime() / 1000)) {
    throw refused('TOKEN_CUT_OFF');
  }
}

/** Whether a claim is one of the values, or a list that has one of them. */
function hasOneOf(claim: unknown, values: readonly unknown[]): boolean {
  return [claim].flat().some((one) => values.includes(one));
}
