import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/** RFC 7914 §2: 32 MiB and some 80 ms of a thread for each password. */
const COST = { N: 2 ** 15, r: 8, p: 1 } as const;
const KEY_BYTES = 32;
const HASH = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22,})\$([A-Za-z0-9+/]{43})$/;

/**
 * Hashes a password with scrypt and a random salt, for the database; {@link verifyPassword} compares. What it
 * answers says with which parameters it was made: `$scrypt$ln=15,r=8,p=1$salt$hash`.
 */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await derive(password, salt, COST);
  const [saltText, keyText] = [salt, key].map((bytes) => bytes.toString('base64').replace(/=+$/, ''));
  return `$scrypt$ln=${Math.log2(COST.N)},r=${COST.r},p=${COST.p}$${saltText}$${keyText}`;
}

/**
 * Whether a password is the one that was hashed; compares in constant time.
 *
 * @throws DownloadAuthConfigurationError for a text that {@link hashPassword} has not made
 * @example
 * ```ts
 * challenge: async (answer, grant) => verifyPassword(answer, await this.shares.passwordHash(grant.link.id))
 * ```
 */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const [, ln, r, p, salt, key] = HASH.exec(hash) ?? [];
  if (salt === undefined || key === undefined) {
    throw new DownloadAuthConfigurationError(
      'verifyPassword: give what hashPassword() answered as the hash.',
    );
  }
  const cost = { N: 2 ** Number(ln), r: Number(r), p: Number(p) };
  const derived = await derive(password, Buffer.from(salt, 'base64'), cost);
  return timingSafeEqual(derived, Buffer.from(key, 'base64'));
}

/** Keyboards write one letter as one code point or as two, so the text is normalized. */
async function derive(
  password: unknown,
  salt: Buffer,
  cost: { N: number; r: number; p: number },
): Promise<Buffer> {
  const maxmem = 256 * cost.N * cost.r;
  if (typeof password !== 'string') {
    throw new DownloadAuthConfigurationError('The password must be a string.');
  }
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, KEY_BYTES, { ...cost, maxmem }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
