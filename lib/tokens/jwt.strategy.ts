import { PassportStrategy } from '@nestjs/passport';
import type { KeyObject } from 'node:crypto';
import passport from 'passport';
import { Strategy } from 'passport-jwt';
import type { TokenClaims } from '../options/download-auth-options.js';
import { ALGORITHMS } from './algorithms.js';

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

let instances = 0;

/**
 * The Passport strategy of one module instance: passport-jwt checks the signature of a token.
 *
 * Passport keeps strategies by name for the whole process, and a second one of the same name replaces the
 * first; so each instance registers under a name of its own and withdraws it when the application closes.
 * `exp`, `nbf`, `iss` and `aud` are checked afterwards by this package: with the application's clock, and with a
 * reason that is told to the caller only because the signature was good.
 */
export class SignatureVerifier {
  readonly strategyName = `nestjs-download-auth:${++instances}`;

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
