import { createPrivateKey, createPublicKey, createSecretKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { OptionRule } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/** The signature algorithms a key may be pinned to (RFC 7518 §3.1). */
export type SignatureAlgorithm =
  | 'HS256' | 'HS384' | 'HS512'
  | 'RS256' | 'RS384' | 'RS512'
  | 'PS256' | 'PS384' | 'PS512'
  | 'ES256' | 'ES384' | 'ES512'; // prettier-ignore

/** PEM text, its bytes, or a `KeyObject` of node:crypto. */
export type KeyMaterial = string | Buffer | KeyObject;

/** A key that verifies access tokens, and the algorithms it is pinned to. */
export interface VerificationKey {
  readonly key: KeyObject;
  readonly algorithms: readonly SignatureAlgorithm[];
}

/** Minimum bytes of a secret: the output of the hash it is used with (RFC 7518 §3.2). */
const SECRET_BYTES: Partial<Record<SignatureAlgorithm, number>> = { HS256: 32, HS384: 48, HS512: 64 };
const RSA_BITS = 2048;
const RSA_ALGORITHMS: readonly SignatureAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const EC_ALGORITHMS: Record<string, SignatureAlgorithm> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
/** By the hash that the key names, which is the only one it may be used with (RFC 8017 §8.1). */
const PSS_ALGORITHMS: Record<string, SignatureAlgorithm> = {
  sha256: 'PS256',
  sha384: 'PS384',
  sha512: 'PS512',
};

export const ALGORITHMS: readonly SignatureAlgorithm[] = [
  ...(Object.keys(SECRET_BYTES) as SignatureAlgorithm[]),
  ...RSA_ALGORITHMS,
  ...Object.values(EC_ALGORITHMS),
];

export const algorithmList: OptionRule = (algorithms) => {
  if (!Array.isArray(algorithms) || algorithms.length === 0) {
    return "give a list such as ['HS256'], or leave it out.";
  }
  const unknown: unknown = algorithms.find((name) => !ALGORITHMS.includes(name as SignatureAlgorithm));
  return unknown === undefined
    ? undefined
    : `${JSON.stringify(unknown)} is none of ${ALGORITHMS.join(', ')}.`;
};

const PEM = /-----BEGIN [A-Z0-9 ]+-----/;
/** Text files of OpenSSH and of RFC 4716. */
const SSH = /^(?:ssh-|ecdsa-sha2-|sk-(?:ssh|ecdsa)-)|^---- BEGIN SSH2 /;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const HEX = /^(?:[0-9a-f]{2})+$/i;
/** Every key and certificate in DER begins with the tag of a SEQUENCE. */
const DER_SEQUENCE = 0x30;

/**
 * Prepares a secret once: a `KeyObject` verifies some forty times faster than the string it came from.
 * @throws DownloadAuthConfigurationError for a secret that is too short, or is a public or private key
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
    const size = key.symmetricKeySize as number;
    if (size < needed) {
      throw new DownloadAuthConfigurationError(
        `${option}: ${algorithm} needs at least ${needed} bytes, this has ${size}. ` +
          'Make one with: npx nestjs-download-auth key',
      );
    }
  }
  return { key, algorithms };
}

/** The advice where the environment has no secret. */
export function unsetSecret(option: string): string {
  return `${option}: it is undefined. Set the variable that it is read from. Make a secret with: npx nestjs-download-auth key`;
}

/**
 * Prepares the key that verifies RS, PS or ES tokens, from the public key or from its private half.
 * @throws DownloadAuthConfigurationError for an unreadable or weak key, or algorithms that do not fit it
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

/** @throws DownloadAuthConfigurationError for anything but a private key */
export function asPrivate(material: KeyMaterial): KeyObject {
  return asymmetricKey(
    'private',
    material,
    createPrivateKey,
    'privateKey: not readable. Give an unencrypted PEM (BEGIN PRIVATE KEY) or a private KeyObject.',
  );
}

function asPublic(material: KeyMaterial, option: string): KeyObject {
  return asymmetricKey(
    'public',
    material,
    createPublicKey,
    `${option}: not readable as a public key. Give a PEM (BEGIN PUBLIC KEY) or a public KeyObject; for a shared secret write secret.`,
  );
}

function asymmetricKey(
  type: 'private' | 'public',
  material: KeyMaterial,
  read: (material: string | Buffer) => KeyObject,
  advice: string,
): KeyObject {
  try {
    const key = isKeyObject(material) ? material : read(material);
    if (key.type === type) {
      return key;
    }
  } catch {
    // the message of node:crypto may quote the input
  }
  throw new DownloadAuthConfigurationError(advice);
}

/** Recognizes key objects of any copy of the class. */
export function isKeyObject(material: unknown): material is KeyObject {
  return typeof material === 'object' && material !== null && 'type' in material && 'export' in material;
}

/** Whether text or bytes hold a key in PEM, whatever its kind (RFC 7468). */
export function isPem(material: string | Buffer): boolean {
  return PEM.test(material.toString('latin1'));
}

/** The form in which bytes hold a public key, a private key or a certificate; `undefined` if they do not. */
function asymmetricForm(bytes: Buffer, decodings = 2): string | undefined {
  const text = bytes.toString('latin1').trim();
  if (PEM.test(text)) {
    return 'a PEM key';
  }
  // the binary form starts with the length of the name of its type (RFC 4253 §6.6)
  if (SSH.test(text) || SSH.test(bytes.toString('latin1', 4, 40))) {
    return 'an OpenSSH key';
  }
  if (text.startsWith('<') && text.includes('<RSAKeyValue>')) {
    return 'an XML key';
  }
  if (isJwk(text)) {
    return 'a JWK';
  }
  if (bytes[0] === DER_SEQUENCE && isDer(bytes)) {
    return 'a key or a certificate in DER';
  }
  return decodings > 0 ? encodedForm(text, decodings - 1) : undefined;
}

function encodedForm(text: string, decodings: number): string | undefined {
  // environment variables may hold the body of a PEM alone, with its newlines escaped or lost
  const packed = text.replace(/\s+|\\[nr]/g, '');
  const form =
    (BASE64.test(packed) && asymmetricForm(Buffer.from(packed, 'base64'), decodings)) ||
    (HEX.test(packed) && asymmetricForm(Buffer.from(packed, 'hex'), decodings));
  return form ? `${form}, encoded` : undefined;
}

function isJwk(text: string): boolean {
  if (!/^[[{]/.test(text)) {
    return false;
  }
  try {
    const value = JSON.parse(text) as { kty?: unknown; keys?: unknown; x5c?: unknown };
    return (value.kty !== undefined && value.kty !== 'oct') || [value.keys, value.x5c].some(Array.isArray);
  } catch {
    return false;
  }
}

function isDer(key: Buffer): boolean {
  const publicTypes = ['spki', 'pkcs1'] as const;
  const privateTypes = ['pkcs8', 'pkcs1', 'sec1'] as const;
  const readers = [
    () => new X509Certificate(key),
    ...publicTypes.map((type) => () => createPublicKey({ key, format: 'der', type })),
    ...privateTypes.map((type) => () => createPrivateKey({ key, format: 'der', type })),
  ];
  return readers.some((read) => {
    try {
      return Boolean(read());
    } catch {
      return false;
    }
  });
}

/** Everybody can read a public key: used as a secret, it would let all sign HS tokens (RFC 8725 §2.1). */
function asSecret(secret: KeyMaterial, option: string): KeyObject {
  const isText = typeof secret === 'string' || Buffer.isBuffer(secret);
  const key = isText ? createSecretKey(Buffer.from(secret as string)) : secret;
  if (!isKeyObject(key) || key.type !== 'secret') {
    throw new DownloadAuthConfigurationError(`${option}: give a string, a Buffer or a secret KeyObject.`);
  }
  const form = asymmetricForm(key.export());
  if (form !== undefined) {
    throw new DownloadAuthConfigurationError(
      `${option}: this is ${form}, not a secret. ` +
        `Write publicKey (or privateKey) instead of ${option}, with the key as PEM or KeyObject.`,
    );
  }
  return key;
}

function fittingAlgorithms(key: KeyObject, option: string): readonly SignatureAlgorithm[] {
  const type = key.asymmetricKeyType;
  const {
    modulusLength,
    namedCurve = '',
    hashAlgorithm = '',
    mgf1HashAlgorithm,
  } = key.asymmetricKeyDetails as { modulusLength: number } & Partial<Record<string, string>>;
  if (type === 'rsa' || type === 'rsa-pss') {
    if (modulusLength < RSA_BITS) {
      throw new DownloadAuthConfigurationError(
        `${option}: an RSA key needs at least ${RSA_BITS} bits (RFC 7518 §3.3), this has ${modulusLength}.`,
      );
    }
    if (type === 'rsa') {
      return RSA_ALGORITHMS;
    }
    const algorithm = PSS_ALGORITHMS[hashAlgorithm];
    if (!algorithm || mgf1HashAlgorithm !== hashAlgorithm) {
      throw new DownloadAuthConfigurationError(
        `${option}: an RSA-PSS key must name one hash for itself and its mask: make it with ` +
          "{ hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 }, or use an RSA key.",
      );
    }
    return [algorithm];
  }
  const algorithm = EC_ALGORITHMS[namedCurve];
  if (algorithm) {
    return [algorithm];
  }
  throw new DownloadAuthConfigurationError(
    `${option}: keys of type ${type} ${namedCurve} are not supported. ` +
      'Use RSA, RSA-PSS, or EC on P-256, P-384 or P-521.',
  );
}
