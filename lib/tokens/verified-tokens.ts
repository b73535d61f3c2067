import { LRUCache } from 'lru-cache';
import { type KeyObject, hash } from 'node:crypto';

interface Verified {
  readonly key: KeyObject;
  /** Seconds since 1970. */
  readonly exp: number;
}

/**
 * Remembers that the signature of a token was found good with a key, so that it is checked once. That pays for HS256
 * too: the HMAC is cheap, but what passport-jwt and jsonwebtoken do around it is not (see bench/guard). It holds
 * hashes, no tokens and no claims; it answers for the very same key only, so that a key that was rotated out is heeded
 * at once, and never for a token past its `exp`. Tokens without an `exp` are not remembered.
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
    if (this.entries && typeof exp === 'number') this.entries.set(digest(token), { key, exp });
  }
}

function digest(token: string): string {
  return hash('sha256', token, 'base64');
}
