import { type KeyObject, createPrivateKey, createPublicKey, createSecretKey } from 'node:crypto';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type { KeyMaterial, SignatureAlgorithm } from '../options/download-auth-options.js';

/** A key that verifies access tokens, and the algorithms it is pinned to. */
export interface VerificationKey {
  readonly key: KeyObject;
  readonly algorithms: readonly SignatureAlgorithm[];
}

/** Bytes a secret needs at the least: the output of the hash it is used with (RFC 7518 §3.2). */
const SECRET_BYTES: Partial<Record<SignatureAlgorithm, number>> = { HS256: 32, HS384: 48, HS512: 64 };
const RSA_BITS = 2048;
const EC_ALGORITHMS: Record<string, SignatureAlgorithm> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
const RSA_ALGORITHMS: readonly SignatureAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const PEM = /-----BEGIN [A-Z ]+-----/;

/**
 * Prepares a secret once: a `KeyObject` verifies some forty times faster than the string it came from.
 * @throws DownloadAuthConfigurationError for a secret that is empty, short, or really a public key
 */
export function secretKey(
  secret: KeyMaterial,
  algorithms: readonly SignatureAlgorithm[] = ['HS256'],
  option = 'secret',
): VerificationKey {
  const key = asSecret(secret, option);
  for (const algorithm of algorithms) {
    const needed = SECRET_BYTES[algorithm];
    if (needed === undefined) {
      throw new DownloadAuthConfigurationError(
        `${option}: a secret cannot verify ${algorithm}. Write algorithms: ['HS256'], or give publicKey.`,
      );
    }
    if ((key.symmetricKeySize ?? 0) < needed) {
      throw new DownloadAuthConfigurationError(
        `${option}: ${algorithm} needs at least ${needed} bytes, this has ${key.symmetricKeySize ?? 0}. ` +
          `Make one with: node -p "require('crypto').randomBytes(${needed}).toString('base64url')"`,
      );
    }
  }
  return { key, algorithms };
}

/**
 * Prepares the key that verifies RS, PS or ES tokens, from the public key or from its private half.
 * @throws DownloadAuthConfigurationError for unreadable or weak keys and algorithms that do not fit
 */
export function publicKey(
  material: { publicKey?: KeyMaterial; privateKey?: KeyMaterial },
  algorithms?: readonly SignatureAlgorithm[],
  option = 'publicKey',
): VerificationKey {
  const fromPrivate = material.privateKey && createPublicKey(asPrivate(material.privateKey));
  const fromPublic = material.publicKey && asPublic(material.publicKey, option);
  if (fromPrivate && fromPublic && !fromPrivate.equals(fromPublic)) {
    throw new DownloadAuthConfigurationError(
      `${option}: publicKey and privateKey are not a pair. Give privateKey alone; its public key is derived.`,
    );
  }
  const key = (fromPublic ?? fromPrivate) as KeyObject;
  const fitting = fittingAlgorithms(key, option);
  const chosen = algorithms ?? [fitting[0] as SignatureAlgorithm];
  const misfit = chosen.find((algorithm) => !fitting.includes(algorithm));
  if (misfit) {
    throw new DownloadAuthConfigurationError(
      `${option}: ${misfit} does not fit this key. Write one of ${fitting.join(', ')} in algorithms.`,
    );
  }
  return { key, algorithms: chosen };
}

/** The private key as `KeyObject`. @throws DownloadAuthConfigurationError if it is not one */
export function asPrivate(material: KeyMaterial): KeyObject {
  try {
    const key = isKeyObject(material) ? material : createPrivateKey(material);
    if (key.type === 'private') return key;
  } catch {
    // the reason of node:crypto may quote the input
  }
  throw new DownloadAuthConfigurationError(
    'privateKey: not readable. Give an unencrypted PEM (BEGIN PRIVATE KEY) or a private KeyObject.',
  );
}

/** Tells key objects apart from text and bytes without loading a second copy of the class. */
export function isKeyObject(material: unknown): material is KeyObject {
  return typeof material === 'object' && material !== null && 'type' in material && 'export' in material;
}

/** Whether text or bytes hold a key in PEM, whatever its kind (RFC 7468). */
export function isPem(material: string | Buffer): boolean {
  return PEM.test(material.toString('latin1'));
}

function asSecret(secret: KeyMaterial, option: string): KeyObject {
  const isText = typeof secret === 'string' || Buffer.isBuffer(secret);
  if (isText && isPem(secret)) {
    throw new DownloadAuthConfigurationError(
      `${option}: this is a PEM key, not a secret. Write publicKey (or privateKey) instead of ${option}.`,
    );
  }
  const key = isText ? createSecretKey(Buffer.from(secret as string)) : secret;
  if (!isKeyObject(key) || key.type !== 'secret') {
    throw new DownloadAuthConfigurationError(`${option}: give a string, a Buffer or a secret KeyObject.`);
  }
  return key;
}

function asPublic(material: KeyMaterial, option: string): KeyObject {
  try {
    const key = isKeyObject(material) ? material : createPublicKey(material);
    if (key.type === 'public') return key;
  } catch {
    // the reason of node:crypto may quote the input
  }
  throw new DownloadAuthConfigurationError(
    `${option}: not readable as a public key. Give a PEM (BEGIN PUBLIC KEY) or a public KeyObject; for a shared secret write secret.`,
  );
}

function fittingAlgorithms(key: KeyObject, option: string): readonly SignatureAlgorithm[] {
  const details = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss':
      if ((details.modulusLength ?? 0) < RSA_BITS) {
        throw new DownloadAuthConfigurationError(
          `${option}: an RSA key needs at least ${RSA_BITS} bits (RFC 7518 §3.3), this has ${details.modulusLength ?? 0}.`,
        );
      }
      return key.asymmetricKeyType === 'rsa' ? RSA_ALGORITHMS : RSA_ALGORITHMS.slice(3);
    case 'ec': {
      const algorithm = EC_ALGORITHMS[details.namedCurve ?? ''];
      if (algorithm) return [algorithm];
    }
  }
  throw new DownloadAuthConfigurationError(
    `${option}: keys of type ${key.asymmetricKeyType ?? 'unknown'} ${details.namedCurve ?? ''} are not supported. ` +
      'Use RSA, RSA-PSS, or EC on P-256, P-384 or P-521.',
  );
}
