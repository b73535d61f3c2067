import { LRUCache } from 'lru-cache';
import type { KeyObject } from 'node:crypto';
import type { AnyRequest } from '../http/http-exchange.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { anything, callable, checkOptions, date, rule, text } from '../shared/check-options.js';
import type { OptionRules } from '../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { UnverifiedToken } from './compact-jws.js';
import {
  algorithmList,
  ALGORITHMS,
  isKeyObject,
  isPem,
  publicKey,
  secretKey,
  unsetSecret,
} from './key-material.js';
import type { KeyMaterial, SignatureAlgorithm, VerificationKey } from './key-material.js';

/**
 * Looks up the key of one token. It has the shape of passport-jwt's option of that name, so jwks-rsa's
 * `passportJwtSecret()` fits. `done(error)` answers 503 `KEY_UNAVAILABLE`, but a `SigningKeyNotFoundError`
 * and `done(null, undefined)` refuse the token. An async function may return the key instead of calling
 * `done`. It is called only for tokens that name one of the `algorithms`.
 */
export type SecretOrKeyProvider = (
  request: AnyRequest,
  rawJwtToken: unknown,
  done: (error: unknown, secretOrKey?: KeyMaterial) => void,
) => void | Promise<KeyMaterial | undefined | void>;

/** One key of a key ring. Give either `secret`, or `publicKey` and/or `privateKey`. */
export interface KeyRingEntry {
  /**
   * The `kid` (RFC 7515 §4.1.4) by which tokens name this key. One entry may have none: it verifies tokens
   * that name no key, such as those issued before the ring was introduced.
   */
  kid?: string;
  secret?: KeyMaterial;
  publicKey?: KeyMaterial;
  privateKey?: KeyMaterial;
  /** Default: `['HS256']` for a secret; what its type implies for a public key. */
  algorithms?: readonly SignatureAlgorithm[];
  /** From this moment on the key verifies nothing. */
  retiredAt?: Date;
}

/** Where the keys of access tokens come from. */
export interface KeyOptions {
  /** Secret of the access tokens (HS256 unless `algorithms` says otherwise), at least 32 bytes. */
  secret?: KeyMaterial;
  /** Public key of the access tokens: RSA, RSA-PSS or EC, as PEM or `KeyObject`. */
  publicKey?: KeyMaterial;
  /** Private key of the access tokens; the public key is derived from it, and so is the key of links. */
  privateKey?: KeyMaterial;
  /** Several keys by `kid`, the newest first. */
  keys?: readonly KeyRingEntry[];
  /** Looks the key up for each request. Needs `algorithms`. */
  secretOrKeyProvider?: SecretOrKeyProvider;
  /** What the key may be used with; never read from a token (RFC 8725 §3.1). Default: as its type implies. */
  algorithms?: readonly SignatureAlgorithm[];
}

/**
 * Finds the key of a token. The token's `kid` may select one of the application's keys; it never brings a key
 * and never selects an algorithm that the key is not pinned to.
 */
export interface KeySource {
  find(token: UnverifiedToken, request: unknown): KeyLookup | Promise<KeyLookup>;
}

/** The key of a token; or, where no key of the application can have signed it, the reason for the log. */
type KeyLookup = KeyObject | string;

export const KEY_RULES: OptionRules<KeyOptions> = {
  secret: anything,
  publicKey: anything,
  privateKey: anything,
  keys: rule((keys) => Array.isArray(keys) && keys.length > 0, 'give a list of keys: [{ kid, secret }].'),
  secretOrKeyProvider: callable,
  algorithms: algorithmList,
};

const RING_ENTRY_RULES: OptionRules<KeyRingEntry> = {
  kid: text('as tokens name the key'),
  secret: anything,
  publicKey: anything,
  privateKey: anything,
  algorithms: algorithmList,
  retiredAt: date("new Date('2026-01-31T00:00:00Z')"),
};

const PREPARED_KEYS = 100;

/**
 * Prepares the source of keys named by options that follow {@link KEY_RULES}.
 * @throws DownloadAuthConfigurationError where there is none, or two, or a key is not usable
 */
export function createKeySource(options: KeyOptions, clock: () => number): KeySource {
  const { secret, keys, secretOrKeyProvider, algorithms } = options;
  const sources = {
    secret,
    'publicKey/privateKey': options.publicKey ?? options.privateKey,
    keys,
    secretOrKeyProvider,
  };
  const named = Object.entries(sources).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (named.length === 0 && 'secret' in options) {
    throw new DownloadAuthConfigurationError(unsetSecret('secret'));
  }
  if (named.length === 0) {
    throw new DownloadAuthConfigurationError(
      'No key to verify access tokens with. Write secret: process.env.JWT_SECRET, or publicKey, keys or ' +
        "secretOrKeyProvider. Without access tokens, say who may download: auth: YourGuard, 'links', 'public' or false.",
    );
  }
  if (named.length > 1) {
    throw new DownloadAuthConfigurationError(
      `Two sources of keys: ${named.join(' and ')}. Give one of them; several keys go into keys: [{ kid, secret }, …].`,
    );
  }
  if (keys !== undefined) {
    if (algorithms !== undefined) {
      throw new DownloadAuthConfigurationError(
        'algorithms: with keys, each key names its own. Write keys: [{ kid, publicKey, algorithms: [...] }].',
      );
    }
    return keyRing(keys, clock);
  }
  if (secretOrKeyProvider !== undefined) {
    return keyResolver(secretOrKeyProvider, algorithms);
  }
  const key = secret !== undefined ? secretKey(secret, algorithms) : publicKey(options, algorithms);
  return { find: (token) => pinned(key, token) };
}

/** The key, where it is pinned to the algorithm that the token names. */
function pinned({ key, algorithms }: VerificationKey, { header }: UnverifiedToken): KeyLookup {
  return misfit(algorithms, header.alg) ?? key;
}

function misfit(algorithms: readonly SignatureAlgorithm[], alg: string): string | undefined {
  if ((algorithms as readonly string[]).includes(alg)) {
    return undefined;
  }
  const named = (ALGORITHMS as readonly string[]).includes(alg) ? alg : 'an algorithm that is not supported';
  return `It is signed with ${named}; the key is for ${algorithms.join(', ') || 'none of the algorithms'}.`;
}

interface RingKey extends VerificationKey {
  /** Milliseconds since 1970. */
  readonly retiredAt: number;
}

function keyRing(entries: readonly KeyRingEntry[], clock: () => number): KeySource {
  const ring = new Map<string | undefined, RingKey>();
  entries.forEach((entry, index) => {
    const key = ringKey(entry, `keys[${index}]`);
    if (ring.has(entry.kid)) {
      throw new DownloadAuthConfigurationError(
        entry.kid === undefined
          ? 'keys: two entries have no kid. Only one may have none.'
          : `keys: the kid ${JSON.stringify(entry.kid)} is given twice. Each key needs its own.`,
      );
    }
    ring.set(entry.kid, key);
  });
  return {
    find: (token) => {
      const { kid } = token.header;
      const key = ring.get(kid);
      if (!key) {
        return kid === undefined
          ? 'It names no key (kid), and every key of the ring has a kid.'
          : 'It names a key (kid) that the ring does not have.';
      }
      return clock() < key.retiredAt ? pinned(key, token) : 'The key that it names (kid) is retired.';
    },
  };
}

function ringKey(entry: KeyRingEntry, option: string): RingKey {
  checkOptions(entry ?? null, RING_ENTRY_RULES, option);
  const { secret, algorithms, retiredAt } = entry;
  const isSecret = secret !== undefined;
  if (isSecret === ((entry.publicKey ?? entry.privateKey) !== undefined)) {
    throw new DownloadAuthConfigurationError(`${option}: give either secret, or publicKey or privateKey.`);
  }
  const key = isSecret
    ? secretKey(secret, algorithms, `${option}.secret`)
    : publicKey(entry, algorithms, `${option}.publicKey`);
  return { ...key, retiredAt: retiredAt?.getTime() ?? Infinity };
}

/**
 * Calls the application's resolver for each token, as passport-jwt would, and caches the key objects made of
 * its answers. If the resolver fails, the answer is 503 `KEY_UNAVAILABLE`: the caller did nothing wrong.
 */
function keyResolver(
  provider: SecretOrKeyProvider,
  algorithms: readonly SignatureAlgorithm[] | undefined,
): KeySource {
  if (algorithms === undefined) {
    throw new DownloadAuthConfigurationError(
      "secretOrKeyProvider: say which algorithms its keys are for, such as algorithms: ['RS256'].",
    );
  }
  const logger = new ThrottledLogger('DownloadAuth');
  const prepared = new LRUCache<string | object, VerificationKey>({ max: PREPARED_KEYS });
  return {
    find: async (unverified, request) => {
      const reason = misfit(algorithms, unverified.header.alg);
      if (reason !== undefined) {
        return reason;
      }
      try {
        const material = await ask(provider, request, unverified.token);
        if (material === undefined || material === null || material.length === 0) {
          return 'secretOrKeyProvider has no key for it.';
        }
        const cacheKey = cacheKeyOf(material);
        const key = prepared.get(cacheKey) ?? prepare(material, algorithms);
        prepared.set(cacheKey, key);
        return pinned(key, unverified);
      } catch (cause) {
        logger.error(
          'key resolver',
          `The key of an access token is not available: ${redacted(cause, unverified)}`,
        );
        throw new DownloadRefusal('KEY_UNAVAILABLE', { cause });
      }
    },
  };
}

/** Never takes text for bytes or bytes for text, whatever they spell. */
function cacheKeyOf(material: KeyMaterial): string | object {
  if (typeof material === 'string') {
    return `text ${material}`;
  }
  return Buffer.isBuffer(material) ? `bytes ${material.toString('base64')}` : material;
}

type Resolved = (KeyMaterial & { length?: number }) | null | undefined;

function ask(provider: SecretOrKeyProvider, request: unknown, token: string): Promise<Resolved> {
  return new Promise<Resolved>((resolve, reject) => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- passed on as it is
    const done = (error: unknown, key?: KeyMaterial): void => (error ? reject(error) : resolve(key));
    const pending: unknown = provider(request, token, done);
    // passport-jwt would wait for ever where the key is returned instead of handed to the callback
    if (pending instanceof Promise) {
      pending.then((key: Resolved) => key !== undefined && resolve(key), reject);
    }
  }).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'SigningKeyNotFoundError') {
      return undefined;
    }
    throw error;
  });
}

/** An error for the log: without the token and without any part of it. */
function redacted(error: unknown, { token, header }: UnverifiedToken): string {
  const parts = [token, ...token.split('.'), header.kid ?? ''].filter((part) => part.length > 3);
  return parts.reduce((line, part) => line.replaceAll(part, 'REDACTED'), String(error));
}

function prepare(material: KeyMaterial, algorithms: readonly SignatureAlgorithm[]): VerificationKey {
  const isSecret = isKeyObject(material) ? material.type === 'secret' : !isPem(material);
  const fitting = algorithms.filter((name) => name.startsWith('HS') === isSecret);
  if (isSecret) {
    return secretKey(material, fitting, 'secretOrKeyProvider');
  }
  // a resolver may serve keys of several types, so the type narrows down what was allowed
  return { key: publicKey({ publicKey: material }).key, algorithms: fitting };
}
