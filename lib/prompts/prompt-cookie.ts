import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { cookieOf } from '../http/http-exchange.js';
import type { HttpExchange } from '../http/http-exchange.js';
import { fingerprint } from '../leases/client.js';

export interface SealSettings {
  /** From which those of the cookies are derived; the first signs. `retiredAt` is in ms since 1970. */
  readonly linkKeys: readonly { readonly key: KeyObject; readonly retiredAt: number }[];
  readonly clock: () => number;
}

const PURPOSE = 'nestjs-download-auth prompt HMAC-SHA-256';

/** Says that a browser was shown the page of a link, or that it passed. */
type Stage = 'shown' | 'passed';

/** Seals what a browser keeps or sends back, so that only this application can have made it. */
export class PromptSeals {
  private readonly keys: readonly { key: Buffer; retiredAt: number }[];

  constructor(private readonly options: SealSettings) {
    this.keys = options.linkKeys.map(({ key, retiredAt }) => ({
      key: Buffer.from(hkdfSync('sha256', key.export(), '', PURPOSE, 32)),
      retiredAt,
    }));
  }

  make(stage: Stage, linkId: string, nonce: string): string {
    return this.all(stage, linkId, nonce)[0] as string;
  }

  fits(seal: string, stage: Stage, linkId: string, nonce: string): boolean {
    const given = Buffer.from(seal);
    return this.all(stage, linkId, nonce)
      .map((made) => Buffer.from(made))
      .some((made) => made.length === given.length && timingSafeEqual(made, given));
  }

  private all(...parts: [Stage, string, string]): string[] {
    return this.keys
      .filter(({ retiredAt }) => this.options.clock() < retiredAt)
      .map(({ key }) => createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url'));
  }
}

/** One for each link: a number that tells browsers apart, and once the link has passed, a seal over it. */
export function promptCookieName(linkId: string): string {
  return `ss-prompt-${fingerprint(linkId).slice(0, 12)}`;
}

/** The parts of a link's cookie; none where it is missing or malformed. */
export function promptCookie(exchange: HttpExchange, linkId: string): { nonce?: string; seal?: string } {
  const value = cookieOf(exchange, promptCookieName(linkId)) ?? '';
  const [, nonce, seal] = /^([\w-]{36})(?:\.([\w-]{43}))?$/.exec(value) ?? [];
  return { nonce, seal };
}
