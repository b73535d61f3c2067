import { PassportStrategy } from '@nestjs/passport';
import { LRUCache } from 'lru-cache';
import { hash, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import passport from 'passport';
import { Strategy } from 'passport-jwt';
import { parseCompactJws } from './compact-jws.js';
import type { TokenClaims, UnverifiedToken } from './compact-jws.js';
import { ALGORITHMS } from './key-material.js';

/** What the strategy gets in place of a request: one token, and the key that was found for it. */
interface VerificationAttempt {
  readonly token: string;
  readonly key: KeyObject;
}

type KeyCallback = (error: unknown, key?: KeyObject) => void;
type VerificationCallback = (error: Error | null, result?: boolean) => void;
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
      validate(): boolean {
        return true;
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
   * Whether the signature of a token is good. The caller has checked that the key is pinned to the algorithm
   * that the token names.
   *
   * Passport's middleware adds members to its request; passing it the attempt instead of the real request
   * saves some 40 µs on Express.
   */
  isSigned(token: string, key: KeyObject): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const done: VerificationCallback = (_error, result) => resolve(result === true);
      const authenticate = passport.authenticate(this.strategyName, { session: false }, done) as Authenticate;
      authenticate({ token, key }, undefined, reject);
    });
  }

  /** Removes the strategy from Passport's registry. */
  dispose(): void {
    passport.unuse(this.strategyName);
  }
}

/** A token that is parsed, and what is known of its signature. */
interface ParsedToken extends UnverifiedToken {
  /** Its SHA-256; empty where no tokens are remembered. */
  readonly digest: string;
  /** The key that was found to have signed it, earlier. */
  readonly verifiedWith?: KeyObject;
}

/** A token whose signature was good. */
interface VerifiedToken extends Pick<UnverifiedToken, 'header' | 'claims'> {
  readonly key: KeyObject;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * Remembers tokens whose signature was good, by their SHA-256, with what they say. Verifying is costly for
 * HS256 too: the HMAC is cheap, what passport-jwt and jsonwebtoken do around it is not, and nor is parsing
 * (see bench/guard). An entry counts for the same key only, so a rotated key takes effect at once, and never
 * past the token's `exp`. Tokens without `exp` are not remembered.
 */
export class VerifiedTokens {
  private readonly remembered: LRUCache<string, VerifiedToken> | undefined;

  /** Beyond `verifiedTokenCacheBytes`, the least recently used tokens are dropped. */
  constructor(
    private readonly options: { readonly verifiedTokenCacheBytes: number; readonly clock: () => number },
  ) {
    const maxSize = options.verifiedTokenCacheBytes;
    this.remembered = maxSize > 0 ? new LRUCache({ maxSize }) : undefined;
  }

  /** As {@link parseCompactJws}, which a token that is remembered is spared. */
  parse(token: unknown): ParsedToken | undefined {
    if (typeof token !== 'string') {
      return undefined;
    }
    const digest = this.remembered ? hash('sha256', token, 'base64') : '';
    const known = this.remembered?.get(digest);
    if (known && this.options.clock() < known.expiresAt) {
      return { token, digest, header: known.header, claims: copyOf(known.claims), verifiedWith: known.key };
    }
    const unverified = parseCompactJws(token);
    return unverified && { ...unverified, digest };
  }

  /**
   * The claims of a token whose signature is good, for the caller to keep; otherwise `undefined`.
   *
   * @param isSigned asked where that is not known: whether the key has signed it
   */
  async verify(
    { token, digest, header, claims, verifiedWith }: ParsedToken,
    key: KeyObject,
    isSigned: () => boolean | Promise<boolean>,
  ): Promise<TokenClaims | undefined> {
    if (verifiedWith === key) {
      return claims;
    }
    if (!(await isSigned())) {
      return undefined;
    }
    if (typeof claims.exp === 'number') {
      const entry = { key, header, claims: copyOf(claims), expiresAt: claims.exp * 1000 };
      this.remembered?.set(digest, entry, { size: sizeOf(token) });
    }
    return claims;
  }
}

/** About the bytes that a token takes once it is parsed; many small members take more than long ones. */
function sizeOf(token: string): number {
  return 400 + 3 * token.length;
}

/** A copy of what was JSON: an application may change the claims that it is given. */
function copyOf<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(copyOf) as Value;
  }
  // a member named __proto__ is a member like any other once it was spread
  const copy = { ...value } as Record<string, unknown>;
  for (const name in copy) {
    copy[name] = copyOf(copy[name]);
  }
  return copy as Value;
}
