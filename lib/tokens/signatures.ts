import { PassportStrategy } from '@nestjs/passport';
import { LRUCache } from 'lru-cache';
import { hash, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import passport from 'passport';
import { Strategy } from 'passport-jwt';
import type { TokenClaims, UnverifiedToken } from './compact-jws.js';
import { ALGORITHMS } from './key-material.js';

/** What the strategy gets in place of a request: one token, and the key that was found for it. */
interface VerificationAttempt {
  readonly token: string;
  readonly key: KeyObject;
}

type KeyCallback = (error: unknown, key?: KeyObject) => void;
type VerificationCallback = (error: Error | null, result?: { claims: TokenClaims } | false) => void;
type Authenticate = (
  attempt: VerificationAttempt,
  response: undefined,
  next: (error: unknown) => void,
) => void;

/**
 * The Passport strategy of one module instance: passport-jwt verifies the signature of a token.
 *
 * Passport keeps strategies by name for the whole process, and a second one of the same name replaces the
 * first. So each instance registers under a random name, which no other copy of this package can have, and
 * unregisters when the application closes. This package checks `exp`, `nbf`, `iss` and `aud` itself, with the
 * application's clock, and tells the reason only because the signature was good.
 */
export class SignatureVerifier {
  readonly strategyName = `nestjs-download-auth:${randomUUID()}`;

  constructor() {
    class JwtStrategy extends PassportStrategy(Strategy, this.strategyName) {
      validate(claims: TokenClaims): { claims: TokenClaims } {
        return { claims };
      }
    }
    new JwtStrategy({
      jwtFromRequest: (attempt: unknown) => (attempt as VerificationAttempt).token,
      secretOrKeyProvider: (attempt: unknown, _token: unknown, done: KeyCallback) =>
        done(null, (attempt as VerificationAttempt).key),
      algorithms: [...ALGORITHMS],
      ignoreExpiration: true,
      jsonWebTokenOptions: { ignoreNotBefore: true },
    } as ConstructorParameters<typeof Strategy>[0]);
  }

  /**
   * The claims of a token whose signature is good, otherwise `undefined`. The caller has checked that the key
   * is pinned to the algorithm that the token names.
   *
   * Passport's middleware adds members to its request; passing it the attempt instead of the real request
   * saves some 40 µs on Express.
   */
  verify(token: string, key: KeyObject): Promise<TokenClaims | undefined> {
    return new Promise((resolve, reject) => {
      const done: VerificationCallback = (_error, result) => resolve(result ? result.claims : undefined);
      const authenticate = passport.authenticate(this.strategyName, { session: false }, done) as Authenticate;
      authenticate({ token, key }, undefined, reject);
    });
  }

  /** Removes the strategy from Passport's registry. */
  dispose(): void {
    passport.unuse(this.strategyName);
  }
}

interface Verified {
  readonly key: KeyObject;
  /** Seconds since 1970. */
  readonly exp: number;
}

/**
 * Verifies each token once and remembers that its signature was good, which pays for HS256 too: the HMAC is
 * cheap, but what passport-jwt and jsonwebtoken do around it is not (see bench/guard). It holds hashes, no
 * tokens and no claims. An entry counts for the same key only, so a rotated key takes effect at once, and
 * never past the token's `exp`. Tokens without `exp` are not remembered.
 */
export class RememberingVerifier {
  private readonly verified: LRUCache<string, Verified> | undefined;

  /** @param size how many tokens are remembered; beyond it the least recently used is dropped; 0 for none */
  constructor(
    private readonly signatures: Pick<SignatureVerifier, 'verify'>,
    size: number,
    private readonly clock: () => number,
  ) {
    this.verified = size > 0 ? new LRUCache({ max: size }) : undefined;
  }

  /** The claims of a token whose signature is good, otherwise `undefined`. */
  async verify({ token, claims }: UnverifiedToken, key: KeyObject): Promise<TokenClaims | undefined> {
    if (!this.verified) {
      return this.signatures.verify(token, key);
    }
    const digest = hash('sha256', token, 'base64');
    const entry = this.verified.get(digest);
    if (entry?.key === key && this.clock() < entry.exp * 1000) {
      return claims;
    }
    const verified = await this.signatures.verify(token, key);
    if (typeof verified?.exp === 'number') {
      this.verified.set(digest, { key, exp: verified.exp });
    }
    return verified;
  }
}
