import { Logger } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type {
  KeyMaterial,
  SecretOrKeyProvider,
  SignatureAlgorithm,
} from '../options/download-auth-options.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import type { KeySource } from './key-source.js';
import { isKeyObject, isPem, publicKey, secretKey, type VerificationKey } from './verification-key.js';

const logger = new Logger('DownloadAuth');
const PREPARED_KEYS = 100;

/**
 * Asks the application's resolver for each token, as passport-jwt would, and remembers the keys it turned
 * into key objects. A resolver that fails is our trouble, not the caller's: 503 `KEY_UNAVAILABLE`.
 *
 * @throws DownloadAuthConfigurationError where `algorithms` is missing
 */
export function keyResolver(
  provider: SecretOrKeyProvider,
  algorithms: readonly SignatureAlgorithm[] | undefined,
): KeySource {
  if (algorithms === undefined) {
    throw new DownloadAuthConfigurationError(
      "secretOrKeyProvider: say which algorithms its keys are for, such as algorithms: ['RS256'].",
    );
  }
  const prepared = new LRUCache<string | object, VerificationKey>({ max: PREPARED_KEYS });
  return {
    find: async ({ token }, request) => {
      const material = await ask(provider, request, token);
      if (material === undefined || material === null || material.length === 0) return undefined;
      const cacheKey = cacheKeyOf(material);
      let key = prepared.get(cacheKey);
      if (!key) {
        key = prepare(material, algorithms, token);
        prepared.set(cacheKey, key);
      }
      return key;
    },
  };
}

/** A text and bytes are never taken for one another, whatever they spell. */
function cacheKeyOf(material: KeyMaterial): string | object {
  if (typeof material === 'string') return `text ${material}`;
  return Buffer.isBuffer(material) ? `bytes ${material.toString('base64')}` : material;
}

type Resolved = (KeyMaterial & { length?: number }) | null | undefined;

function ask(provider: SecretOrKeyProvider, request: unknown, token: string): Promise<Resolved> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      if (error instanceof Error && error.name === 'SigningKeyNotFoundError') resolve(undefined);
      else reject(unavailable(error, token));
    };
    try {
      const pending: unknown = provider(request, token, (error, key) => (error ? fail(error) : resolve(key)));
      // passport-jwt would wait for ever where a key is answered and not handed to the callback
      if (pending instanceof Promise) {
        pending.then((key: Resolved) => key !== undefined && resolve(key), fail);
      }
    } catch (error) {
      fail(error);
    }
  });
}

/** The application's people read in the log what its callers are not told; the token is in neither. */
function unavailable(cause: unknown, token: string): DownloadRefusal {
  logger.error(`The key of an access token cannot be had: ${String(cause).replaceAll(token, 'REDACTED')}`);
  return new DownloadRefusal('KEY_UNAVAILABLE', { cause });
}

function prepare(
  material: KeyMaterial,
  algorithms: readonly SignatureAlgorithm[],
  token: string,
): VerificationKey {
  const symmetric = (name: SignatureAlgorithm): boolean => name.startsWith('HS');
  const isSecret = isKeyObject(material) ? material.type === 'secret' : !isPem(material);
  const fitting = algorithms.filter((name) => symmetric(name) === isSecret);
  try {
    if (isSecret) return secretKey(material, fitting);
    // a resolver may serve keys of several types, so the type narrows down what was allowed
    const { key } = publicKey({ publicKey: material });
    return { key, algorithms: fitting };
  } catch (error) {
    throw unavailable(error, token);
  }
}
