import { PassportStrategy } from '@nestjs/passport';
import { LRUCache } from 'lru-cache';
import { hash, type KeyObject, randomUUID } from 'node:crypto';
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
 * The Passport strategy of one module instance: passport-jwt checks the signature of a token.
 *
 * Passport keeps strategies by name for the whole process, and a second one of the same name replaces the
 * first; so each instance registers under a random name, which no other copy of this package can have, and
 * withdraws it when the application closes. `exp`, `nbf`, `iss` and `aud` are checked afterwards by this
 * package: with the application's clock, and with a reason that is told to the caller only because the
 * signature was good.
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
   * The claims of a token whose signature is good, `undefined` otherwise. The caller has checked that the
   * algorithm the token names is one the key is pinned to.
   *
   * Passport's middleware decorates whatever it gets for a request; handing it the attempt rather than the
   * request spares the request that, and some 40 µs on Express.
   */
  verify(token: string, key: KeyObject): Promise<TokenClaims | undefined> {
    return new Promise((resolve, reject) => {
      const done: VerificationCallback = (error, result) =>
        error ? reject(error) : resolve(result ? result.claims : undefined);
      const authenticate = passport.authenticate(this.strategyName, { session: false }, done) as Authenticate;
      authenticate({ token, key }, undefined, reject);
    });
  }

  /** Takes the strategy out of Passport's registry. */
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
 * Remembers that the signature of a token was found good with a key, so that it is checked once. That pays
 * for HS256 too: the HMAC is cheap, but what passport-jwt and jsonwebtoken do around it is not (see
 * bench/guard). It holds hashes, no tokens and no claims; it answers for the very same key only, so that a
 * key that was rotated out is heeded at once, and never for a token past its `exp`. Tokens without an `exp`
 * are not remembered.
 */
export class VerifiedTokens {
  private readonly entries: LRUCache<string, Verified> | undefined;

  /** @param size how many tokens are remembered, the least recently used are forgotten; 0 remembers none */
  constructor(
    size: number,
    private readonly clock: () => number,
  ) {
    this.entries = size > 0 ? new LRUCache({ max: size }) : undefined;
  }

  has(token: string, key: KeyObject): boolean {
    const hit = this.entries?.get(digest(token));
    return hit !== undefined && hit.key === key && this.clock() < hit.exp * 1000;
  }

  add(token: string, key: KeyObject, exp: unknown): void {
    if (this.entries && typeof exp === 'number') {
      this.entries.set(digest(token), { key, exp });
    }
  }
}

function digest(token: string): string {
  return hash('sha256', token, 'base64');
}

/** Checks signatures, each of them once: a token that asks for many ranges is verified with the first. */
export class RememberingVerifier {
  constructor(
    private readonly signatures: Pick<SignatureVerifier, 'verify'>,
    private readonly verified: VerifiedTokens,
  ) {}

  /**
   * The claims of a token whose signature is good, `undefined` otherwise; as {@link
   * SignatureVerifier.verify}.
   */
  async verify({ token, claims }: UnverifiedToken, key: KeyObject): Promise<TokenClaims | undefined> {
    if (this.verified.has(token, key)) {
      return claims;
    }
    const verified = await this.signatures.verify(token, key);
    if (verified) {
      this.verified.add(token, key, verified.exp);
    }
    return verified;
  }
}
