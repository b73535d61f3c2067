import { createHmac, createSecretKey, hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { claimsToBeLink, LINK_TYPE } from '../tokens/compact-jws.js';
import { asPrivate, secretKey } from '../tokens/key-material.js';
import type { KeyMaterial } from '../tokens/key-material.js';
import type { KeyOptions, KeyRingEntry } from '../tokens/keys.js';
import type { VerifiedTokens } from '../tokens/signatures.js';
import { isLinkClaims } from './link-claims.js';
import type { LinkClaims, LinkTerms } from './link-claims.js';
import type { LinkedState } from './link.js';
import type { LinkOptions } from './options.js';
import { canonical } from './link-resource.js';

/** A key that signs and verifies link tokens, with the `kid` they carry. */
export interface LinkKey {
  readonly kid: string;
  readonly key: KeyObject;
  /** Milliseconds since 1970; from then on the key neither signs nor verifies. */
  readonly retiredAt: number;
}

const ALGORITHM = 'HS256';
const PURPOSE = 'nestjs-download-auth link token HS256';
const KEY_BYTES = 32;
const ID_BYTES = 16;
/** Of so many bytes in base64url. */
const ID_LENGTH = 22;

/** Signs link tokens, and tells genuine ones from others. */
export class LinkTokens {
  constructor(
    private readonly options: { readonly linkKeys: readonly LinkKey[]; readonly clock: () => number },
    private readonly verified: VerifiedTokens,
  ) {}

  /** Gives a link its id, and signs it. What may be reused is the same for the same terms. */
  sign(terms: LinkTerms): { claims: LinkClaims; token: string } {
    const [current] = this.keys();
    if (!current) {
      throw new DownloadAuthConfigurationError(
        'Links need a secret of their own, because the access tokens are verified with a public key or a resolver. ' +
          'Write links: { secret: process.env.LINK_SECRET } in the options.',
      );
    }
    const { kid, key } = current;
    const mac = (text: string) => macOf(key, text);
    const isReusable = terms.win !== undefined;
    const jti = isReusable
      ? mac(canonical(terms)).slice(0, ID_LENGTH)
      : randomBytes(ID_BYTES).toString('base64url');
    const claims = { ...terms, jti } as LinkClaims;
    const payload = isReusable ? canonical(claims) : JSON.stringify(claims);
    const header = JSON.stringify({ alg: ALGORITHM, typ: LINK_TYPE, kid });
    const input = [header, payload].map((part) => Buffer.from(part).toString('base64url')).join('.');
    return { claims, token: `${input}.${mac(input)}` };
  }

  /** Digests of a state with each key, the current one first: readers of a link cannot guess what it was. */
  stateDigests(state: LinkedState, resource: string): string[] {
    return this.keys().map(({ key }) =>
      macOf(key, `state:${canonical([resource, state])}`).slice(0, ID_LENGTH),
    );
  }

  /** The claims of a genuine link token, `undefined` for any other. Neither resource nor time is checked. */
  async claimsOf(token: string): Promise<LinkClaims | undefined> {
    const unverified = this.verified.parse(token);
    const { alg, kid, typ } = unverified?.header ?? {};
    const key = this.keys().find((one) => one.kid === kid)?.key;
    if (!unverified || !key || alg !== ALGORITHM || !claimsToBeLink(typ)) {
      return undefined;
    }
    const claims = await this.verified.verify(unverified, key, () => isSigned(token, key));
    return claims && isLinkClaims(claims) ? claims : undefined;
  }

  /** As {@link claimsOf}. @throws DownloadRefusal `LINK_INVALID` for a token that is not a genuine link */
  async verify(token: string): Promise<LinkClaims> {
    const claims = await this.claimsOf(token);
    if (!claims) {
      throw new DownloadRefusal('LINK_INVALID');
    }
    return claims;
  }

  /** Those in use. */
  private keys(): readonly LinkKey[] {
    const now = this.options.clock();
    return this.options.linkKeys.filter(({ retiredAt }) => now < retiredAt);
  }
}

/**
 * The keys of link tokens, the signing one first; none where nothing secret is configured.
 *
 * Each is derived for this one purpose (HKDF-SHA-256, RFC 5869) from `links.secret`, or else from the secrets
 * and private keys of the access tokens: a guard that verifies with the application's own secret never
 * accepts a link token. Two keys of one secret, with a `kid` and without, have one `kid` here.
 *
 * @throws DownloadAuthConfigurationError for a `links.secret` under 32 bytes, or one that is a public key
 */
export function createLinkKeys(options: KeyOptions & { readonly links?: LinkOptions }): readonly LinkKey[] {
  const own = options.links?.secret;
  if (own !== undefined) {
    const secrets = [own].flat() as KeyMaterial[];
    return secrets.map((secret) => derivedKey(secretKey(secret, undefined, 'links.secret').key.export()));
  }
  const sources: readonly KeyRingEntry[] = options.keys ?? [options];
  return sources.flatMap(({ secret, privateKey, retiredAt }) => {
    if (secret !== undefined) {
      return derivedKey(secretKey(secret).key.export(), retiredAt);
    }
    return privateKey === undefined
      ? []
      : derivedKey(asPrivate(privateKey).export({ format: 'der', type: 'pkcs8' }), retiredAt);
  });
}

function macOf(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('base64url');
}

/** Whether a token ends in the MAC of what stands before. Passport would take ten times as long. */
function isSigned(token: string, key: KeyObject): boolean {
  const end = token.lastIndexOf('.');
  const expected = Buffer.from(macOf(key, token.slice(0, end)));
  const found = Buffer.from(token.slice(end + 1));
  return found.length === expected.length && timingSafeEqual(found, expected);
}

function derivedKey(secret: Buffer, retiredAt?: Date): LinkKey {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, KEY_BYTES));
  const kid = hash('sha256', bytes, 'base64url').slice(0, 8);
  return { kid, key: createSecretKey(bytes), retiredAt: retiredAt?.getTime() ?? Infinity };
}
