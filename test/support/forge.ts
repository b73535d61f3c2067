import { createHmac, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** Keys of a fixed role; made once for each test process. */
export const keys = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  otherRsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  otherP256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
};

/** A public key as an application has it in its configuration. */
export function pem(key: KeyObject, type: 'spki' | 'pkcs1' = 'spki'): string {
  return key.export({ format: 'pem', type }).toString();
}

export function base64url(data: string | Uint8Array): string {
  return Buffer.from(data as string).toString('base64url');
}

export function inAnHour(): number {
  return Math.floor(Date.now() / 1000) + 3600;
}

type Part = string | Uint8Array | object;

/** The first two segments of a token; texts and bytes are taken as they are, everything else as JSON. */
export function signingInput(header: Part, payload: Part): string {
  return `${base64url(asBytes(header))}.${base64url(asBytes(payload))}`;
}

/** A signature over any text, by the name of its algorithm (RFC 7518 §3.1). */
export function signature(algorithm: string, input: string, key: KeyObject | string | Uint8Array): string {
  const hash = `sha${algorithm.slice(2)}`;
  switch (algorithm.slice(0, 2)) {
    case 'HS':
      return createHmac(hash, key).update(input).digest('base64url');
    case 'RS':
      return signBytes(hash, Buffer.from(input), key as KeyObject).toString('base64url');
    case 'PS':
      // RSA_PKCS1_PSS_PADDING, with a salt as long as the digest
      return signBytes(hash, Buffer.from(input), {
        key: key as KeyObject,
        padding: 6,
        saltLength: -1,
      }).toString('base64url');
    case 'ES':
      return signBytes(hash, Buffer.from(input), {
        key: key as KeyObject,
        dsaEncoding: 'ieee-p1363',
      }).toString('base64url');
  }
  throw new Error(algorithm);
}

/**
 * A token with exactly this header and payload, signed; the algorithm is the header's unless another is
 * given.
 */
export function forge(
  header: Part,
  payload: Part,
  key: KeyObject | string | Uint8Array,
  algorithm = (header as { alg: string }).alg,
): string {
  const input = signingInput(header, payload);
  return `${input}.${signature(algorithm, input, key)}`;
}

function asBytes(part: Part): string | Uint8Array {
  return typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify(part);
}
