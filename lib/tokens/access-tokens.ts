import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type { DownloadAuthOptions, TokenClaims } from '../options/download-auth-options.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { type AccessClaimsPolicy, checkAccessClaims, isIssuedBefore } from './access-claims.js';
import type { UnverifiedToken } from './compact-jws.js';
import type { KeySource } from './key-source.js';
import type { RememberingVerifier } from './remembering-verifier.js';

interface AccessTokenOptions {
  readonly keySource: KeySource;
  readonly accessClaims: AccessClaimsPolicy;
  readonly notIssuedBefore: DownloadAuthOptions['notIssuedBefore'];
  readonly clock: () => number;
}

/** Verifies the application's own tokens. */
export class AccessTokens {
  constructor(
    private readonly options: AccessTokenOptions,
    private readonly signatures: RememberingVerifier,
  ) {}

  /**
   * The claims of a genuine access token.
   * @throws DownloadRefusal `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_NOT_YET_VALID`, `TOKEN_CUT_OFF`, `KEY_UNAVAILABLE`
   */
  async authenticate(unverified: UnverifiedToken, request: unknown): Promise<TokenClaims> {
    const key = await this.options.keySource.find(unverified, request);
    if (!key || !(key.algorithms as readonly string[]).includes(unverified.header.alg)) {
      throw new DownloadRefusal('TOKEN_INVALID');
    }
    const claims = await this.signatures.verify(unverified, key.key);
    if (!claims) throw new DownloadRefusal('TOKEN_INVALID');
    const refusal =
      checkAccessClaims(claims, this.options.accessClaims, this.options.clock() / 1000) ??
      (await this.checkCutOff(claims));
    if (refusal) throw new DownloadRefusal(refusal);
    return claims;
  }

  private async checkCutOff(claims: TokenClaims): Promise<'TOKEN_CUT_OFF' | undefined> {
    const { notIssuedBefore } = this.options;
    if (notIssuedBefore === undefined) return undefined;
    const moment = typeof notIssuedBefore === 'function' ? await notIssuedBefore(claims) : notIssuedBefore;
    if (!moment) return undefined;
    if (Number.isNaN(moment.getTime())) {
      throw new DownloadAuthConfigurationError(
        'notIssuedBefore: the function returned an invalid Date. Return undefined for a token that is not to be cut off.',
      );
    }
    return isIssuedBefore(claims, moment) ? 'TOKEN_CUT_OFF' : undefined;
  }
}
