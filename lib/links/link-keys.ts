import { createSecretKey, hash, hkdfSync, type KeyObject } from 'node:crypto';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { asPrivate, isKeyObject, type KeyMaterial, refuseKeyAsSecret } from '../tokens/key-material.js';
import type { KeyOptions, KeyRingEntry } from '../tokens/keys.js';
import type { LinkOptions } from './link-options.js';

/** A key that signs and verifies link tokens, with the `kid` they carry. */
export interface LinkKey {
  readonly kid: string;
  readonly key: KeyObject;
  /** Milliseconds since 1970; from then on the key neither signs nor verifies. */
  readonly retiredAt: number;
}

interface LinkKeyOptions extends KeyOptions {
  readonly links?: LinkOptions;
}

const PURPOSE = 'nestjs-download-auth link token HS256';
const KEY_BYTES = 32;
const MINIMUM_SECRET_BYTES = 32;

/**
 * The keys of link tokens, the signing one first; none where nothing secret is configured.
 *
 * Each is derived for this one purpose (HKDF-SHA-256, RFC 5869) from `links.secret`, or else from the secrets
 * and private keys of the access tokens: so a guard that verifies with the application's own secret never
 * finds a link token genuine. A secret that is given twice, as one with a `kid` and one without, is one key
 * of links: it verifies until the later of the two is retired.
 *
 * @throws DownloadAuthConfigurationError for a `links.secret` under 32 bytes, or one that is a public key
 */
export function createLinkKeys(options: LinkKeyOptions): readonly LinkKey[] {
  const keys = new Map<string, LinkKey>();
  for (const key of derivedKeys(options)) {
    const { retiredAt = key.retiredAt } = keys.get(key.kid) ?? {};
    keys.set(key.kid, { ...key, retiredAt: Math.max(retiredAt, key.retiredAt) });
  }
  return [...keys.values()];
}

function derivedKeys(options: LinkKeyOptions): LinkKey[] {
  const own = options.links?.secret;
  if (own !== undefined) {
    const secrets = Array.isArray(own) ? (own as (string | Buffer)[]) : [own as string | Buffer];
    if (secrets.length === 0) {
      throw tooShort(0);
    }
    return secrets.map((secret) => deriveLinkKey(checkedSecret(secret)));
  }
  const sources: readonly KeyRingEntry[] = options.keys ?? [options];
  return sources.flatMap(({ secret, privateKey, retiredAt }) => {
    if (secret !== undefined) {
      return [deriveLinkKey(secretBytes(secret), retiredAt)];
    }
    return privateKey !== undefined ? [deriveLinkKey(privateBytes(privateKey), retiredAt)] : [];
  });
}

function deriveLinkKey(secret: Buffer, retiredAt?: Date): LinkKey {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', PURPOSE, KEY_BYTES));
  const kid = hash('sha256', bytes, 'base64url').slice(0, 8);
  return { kid, key: createSecretKey(bytes), retiredAt: retiredAt?.getTime() ?? Infinity };
}

function secretBytes(secret: KeyMaterial): Buffer {
  return isKeyObject(secret) ? secret.export() : Buffer.from(secret as string);
}

function privateBytes(privateKey: KeyMaterial): Buffer {
  return asPrivate(privateKey).export({ format: 'der', type: 'pkcs8' });
}

function checkedSecret(secret: unknown): Buffer {
  const bytes =
    typeof secret === 'string' || Buffer.isBuffer(secret) ? Buffer.from(secret as string) : Buffer.alloc(0);
  if (bytes.length < MINIMUM_SECRET_BYTES) {
    throw tooShort(bytes.length);
  }
  refuseKeyAsSecret(bytes, 'links.secret');
  return bytes;
}

function tooShort(bytes: number): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    `links.secret: at least ${MINIMUM_SECRET_BYTES} bytes are needed, this has ${bytes}. ` +
      `Make one with: node -p "require('crypto').randomBytes(${MINIMUM_SECRET_BYTES}).toString('base64url')"`,
  );
}
