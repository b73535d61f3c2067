import jwt from 'jsonwebtoken';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { RefusalCode } from '../refusals/download-refusal.js';
import type { TokenClaims, UnverifiedToken } from '../tokens/compact-jws.js';
import type { RememberingVerifier } from '../tokens/signatures.js';
import { isLinkClaims, LINK_TYPE, type LinkClaims } from './link-claims.js';
import type { LinkKey } from './link-keys.js';

const ALGORITHM = 'HS256';

/** Signs link tokens, and tells genuine ones from others. */
export class LinkTokens {
  private readonly byKid: ReadonlyMap<string | undefined, LinkKey>;

  constructor(
    private readonly keys: readonly LinkKey[],
    private readonly signatures: RememberingVerifier,
    private readonly clock: () => number,
  ) {
    this.byKid = new Map(keys.map((key) => [key.kid, key]));
  }

  /** @throws DownloadAuthConfigurationError where no key of links is configured */
  sign(claims: LinkClaims): string {
    const current = this.keys.find((key) => this.isInUse(key));
    if (!current) {
      throw new DownloadAuthConfigurationError(
        'Links need a secret of their own, because the access tokens are verified with a public key or a resolver. Write links: { secret: process.env.LINK_SECRET } in the options.',
      );
    }
    return jwt.sign(claims, current.key, {
      algorithm: ALGORITHM,
      header: { alg: ALGORITHM, typ: LINK_TYPE, kid: current.kid },
    });
  }

  /**
   * The claims of a genuine link token, `undefined` for any other. Neither resource nor time is checked here.
   */
  async open(unverified: UnverifiedToken): Promise<LinkClaims | undefined> {
    const key = this.byKid.get(unverified.header.kid);
    if (!key || !this.isInUse(key) || unverified.header.alg !== ALGORITHM) {
      return undefined;
    }
    const claims: TokenClaims | undefined = await this.signatures.verify(unverified, key.key);
    return claims && isLinkClaims(claims) ? claims : undefined;
  }

  private isInUse({ retiredAt }: LinkKey): boolean {
    return this.clock() < retiredAt;
  }
}

/**
 * Checks the times of a genuine link.
 * @param now seconds since 1970
 * @param maxAge seconds that a link may be old, whatever its `exp` says
 */
export function checkLinkTimes(claims: LinkClaims, now: number, maxAge = Infinity): RefusalCode | undefined {
  if (now >= Math.min(claims.exp, claims.iat + maxAge)) {
    return 'LINK_EXPIRED';
  }
  return claims.nbf !== undefined && now < claims.nbf ? 'LINK_NOT_YET_VALID' : undefined;
}
