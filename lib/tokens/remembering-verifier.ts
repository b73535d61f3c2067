import type { KeyObject } from 'node:crypto';
import type { TokenClaims } from '../options/download-auth-options.js';
import type { UnverifiedToken } from './compact-jws.js';
import type { SignatureVerifier } from './jwt.strategy.js';
import type { VerifiedTokens } from './verified-tokens.js';

/** Checks signatures, each of them once: what one token is asked for in many ranges is verified with the first. */
export class RememberingVerifier {
  constructor(
    private readonly signatures: Pick<SignatureVerifier, 'verify'>,
    private readonly verified: VerifiedTokens,
  ) {}

  /** The claims of a token whose signature is good, `undefined` otherwise; as {@link SignatureVerifier.verify}. */
  async verify({ token, claims }: UnverifiedToken, key: KeyObject): Promise<TokenClaims | undefined> {
    if (this.verified.has(token, key)) return claims;
    const verified = await this.signatures.verify(token, key);
    if (verified) this.verified.add(token, key, verified.exp);
    return verified;
  }
}
