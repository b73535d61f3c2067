import { Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';
import { createSecretKey, type KeyObject } from 'node:crypto';
import { SampleSettings } from '../settings/sample-settings.js';

/** Seconds for which a login lasts. */
const LIFETIME = 60 * 60;

export interface AccessToken {
  readonly accessToken: string;
  readonly expiresAt: Date;
}

/**
 * Issues and verifies the application's own tokens. The download package knows nothing of this class: it verifies the
 * same tokens by itself, because it was given the same secret.
 */
@Injectable()
export class AccessTokenService {
  private readonly key: KeyObject;

  constructor(settings: SampleSettings) {
    this.key = createSecretKey(Buffer.from(settings.jwtSecret));
  }

  issue(username: string): AccessToken {
    const exp = Math.floor(Date.now() / 1000) + LIFETIME;
    const accessToken = jwt.sign({ sub: username, exp }, this.key, { algorithm: 'HS256' });
    return { accessToken, expiresAt: new Date(exp * 1000) };
  }

  /** Whose token it is and until when, or `undefined` for one that is not good. */
  verify(accessToken: string): { username: string; expiresAt: Date } | undefined {
    try {
      const claims = jwt.verify(accessToken, this.key, { algorithms: ['HS256'] });
      if (typeof claims !== 'object' || !claims.sub || claims.exp === undefined) return undefined;
      return { username: claims.sub, expiresAt: new Date(claims.exp * 1000) };
    } catch {
      return undefined;
    }
  }
}
