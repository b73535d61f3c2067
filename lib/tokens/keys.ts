import { LRUCache } from 'lru-cache';
import type { AnyRequest } from '../http/http-exchange.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { refuseUnknown } from '../shared/unknown-option.js';
import { isValidDate } from '../shared/valid-date.js';
import { DownloadRefusal } from '../refusals/download-refusal.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';
import type { UnverifiedToken } from './compact-jws.js';
import {
  ALGORITHMS,
  checkAlgorithms,
  isKeyObject,
  isPem,
  type KeyMaterial,
  publicKey,
  secretKey,
  type SignatureAlgorithm,
  type VerificationKey,
} from './key-material.js';

/**
 * Looks up the key of one token; the very shape of passport-jwt's option of that name, so that
 * jwks-rsa's `passportJwtSecret()` fits as it is. `done(error)` answers 503 `KEY_UNAVAILABLE`,
 * unless the error says that there is no such key; `done(null, undefined)` refuses the token.
 * An async function may answer with the key instead of calling `done`. It is asked only about tokens that
 * name one of the `algorithms`.
 */
export type SecretOrKeyProvider = (
  request: AnyRequest,
  rawJwtToken: unknown,
  done: (error: unknown, secretOrKey?: KeyMaterial) => void,
) => void | Promise<KeyMaterial | undefined | void>;

/** One key of a key ring. Give either `secret`, or `publicKey` and/or `privateKey`. */
export interface KeyRingEntry {
  /**
   * The `kid` (RFC 7515 §4.1.4) by which tokens name this key. One entry may go without: it verifies
   * the tokens that name no key, such as those issued before the ring was introduced.
   */
  kid?: string;
  secret?: KeyMaterial;
  publicKey?: KeyMaterial;
  privateKey?: KeyMaterial;
  /** Default: `['HS256']` for a secret; for a public key what its type implies. */
  algorithms?: readonly SignatureAlgorithm[];
  /** From this moment on the key verifies nothing any more. */
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
  /**
   * What the key may be used with; never read from a token (RFC 8725 §3.1). Default: what the key's type
   * implies.
   */
  algorithms?: readonly SignatureAlgorithm[];
}

/**
 * Finds the key of a token. What the token says of itself (`kid`) may choose among the application's keys;
 * it never brings a key and never chooses an algorithm that the key is not pinned to.
 */
export interface KeySource {
  find(token: UnverifiedToken, request: unknown): KeyLookup | Promise<KeyLookup>;
}

/**
 * The key of a token; where no key of the application can have signed it, a text for the log that says why.
 */
export type KeyLookup = VerificationKey | string;

const RING_ENTRY = ['kid', 'secret', 'publicKey', 'privateKey', 'algorithms', 'retiredAt'];
const PREPARED_KEYS = 100;

/**
 * Prepares the source of keys that the options name.
 * @throws DownloadAuthConfigurationError where there is none, where there are two, or where a key is unfit
 */
export function createKeySource(options: KeyOptions, clock: () => number): KeySource {
  const { secret, keys, secretOrKeyProvider, algorithms } = options;
  const named = [
    secret !== undefined && 'secret',
    (options.publicKey ?? options.privateKey) !== undefined && 'publicKey/privateKey',
    keys !== undefined && 'keys',
    secretOrKeyProvider !== undefined && 'secretOrKeyProvider',
  ].filter((name) => name !== false);
  if (named.length === 0) {
    throw new DownloadAuthConfigurationError(
      'No key to verify access tokens with. Write secret: process.env.JWT_SECRET ' +
        '(and see that the variable is set), or publicKey, keys or secretOrKeyProvider.',
    );
  }
  if (named.length > 1) {
    throw new DownloadAuthConfigurationError(
      `Two sources of keys: ${named.join(' and ')}. ` +
        'Give one of them; several keys go into keys: [{ kid, secret }, …].',
    );
  }
  checkAlgorithms(algorithms, 'algorithms');
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
  return { find: () => key };
}

/**
 * Why a key that is pinned to these algorithms is not for a token that names another; `undefined` where it
 * is.
 */
export function misfitOf({ header }: UnverifiedToken, algorithms: readonly string[]): string | undefined {
  if (algorithms.includes(header.alg)) {
    return undefined;
  }
  const named = (ALGORITHMS as readonly string[]).includes(header.alg)
    ? header.alg
    : 'an algorithm that is not supported';
  return `It is signed with ${named}; the key is for ${algorithms.join(', ') || 'none of the algorithms'}.`;
}

interface RingKey extends VerificationKey {
  /** Milliseconds since 1970. */
  readonly retiredAt: number;
}

/**
 * Several keys by `kid`. A token that names no key is verified with the entry that has no `kid`, if there
 * is one; a key verifies nothing from its `retiredAt` on.
 */
function keyRing(entries: readonly KeyRingEntry[], clock: () => number): KeySource {
  const isList: boolean = Array.isArray(entries);
  if (!isList || entries.length === 0) {
    throw new DownloadAuthConfigurationError('keys: give a list of keys. Write keys: [{ kid, secret }].');
  }
  const ring = new Map<string | undefined, RingKey>();
  entries.forEach((entry, index) => {
    checkEntry(entry, `keys[${index}]`);
    if (ring.has(entry.kid)) {
      throw new DownloadAuthConfigurationError(
        entry.kid === undefined
          ? 'keys: two entries have no kid. Only one may go without.'
          : `keys: the kid ${JSON.stringify(entry.kid)} is given twice. Each key needs its own.`,
      );
    }
    ring.set(entry.kid, ringKey(entry, `keys[${index}]`));
  });
  return {
    find: ({ header: { kid } }) => {
      const key = ring.get(kid);
      if (!key) {
        return kid === undefined
          ? 'It names no key (kid), and every key of the ring has a kid.'
          : 'It names a key (kid) that the ring does not have.';
      }
      return clock() < key.retiredAt ? key : 'The key that it names (kid) is retired.';
    },
  };
}

function checkEntry(entry: KeyRingEntry, option: string): void {
  refuseUnknown(entry ?? null, RING_ENTRY, option);
  const { kid, retiredAt, algorithms } = entry;
  if (kid !== undefined && typeof kid !== 'string') {
    throw new DownloadAuthConfigurationError(`${option}.kid: give a string, as tokens name it.`);
  }
  if (retiredAt !== undefined && !isValidDate(retiredAt)) {
    throw new DownloadAuthConfigurationError(
      `${option}.retiredAt: give a valid Date, such as new Date('2026-01-31T00:00:00Z').`,
    );
  }
  checkAlgorithms(algorithms, `${option}.algorithms`);
}

function ringKey(entry: KeyRingEntry, option: string): RingKey {
  const asymmetric = entry.publicKey ?? entry.privateKey;
  if ((entry.secret === undefined) === (asymmetric === undefined)) {
    throw new DownloadAuthConfigurationError(`${option}: give either secret, or publicKey or privateKey.`);
  }
  const key =
    entry.secret !== undefined
      ? secretKey(entry.secret, entry.algorithms, `${option}.secret`)
      : publicKey(entry, entry.algorithms, `${option}.publicKey`);
  return { ...key, retiredAt: entry.retiredAt?.getTime() ?? Infinity };
}

/**
 * Asks the application's resolver for each token, as passport-jwt would, and remembers the keys it turned
 * into key objects. A failing resolver is answered with 503 `KEY_UNAVAILABLE`, as the caller did nothing
 * wrong.
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
      const misfit = misfitOf(unverified, algorithms);
      if (misfit !== undefined) {
        return misfit;
      }
      const unavailable = (cause: unknown): DownloadRefusal => {
        logger.error(
          'key resolver',
          `The key of an access token cannot be had: ${redacted(cause, unverified)}`,
        );
        return new DownloadRefusal('KEY_UNAVAILABLE', { cause });
      };
      const material = await ask(provider, request, unverified.token, unavailable);
      if (material === undefined || material === null || material.length === 0) {
        return 'secretOrKeyProvider has no key for it.';
      }
      const cacheKey = cacheKeyOf(material);
      let key = prepared.get(cacheKey);
      if (!key) {
        key = prepare(material, algorithms, unavailable);
        prepared.set(cacheKey, key);
      }
      return key;
    },
  };
}

/** A text and bytes are never taken for one another, whatever they spell. */
function cacheKeyOf(material: KeyMaterial): string | object {
  if (typeof material === 'string') {
    return `text ${material}`;
  }
  return Buffer.isBuffer(material) ? `bytes ${material.toString('base64')}` : material;
}

type Resolved = (KeyMaterial & { length?: number }) | null | undefined;

type Unavailable = (cause: unknown) => DownloadRefusal;

function ask(
  provider: SecretOrKeyProvider,
  request: unknown,
  token: string,
  unavailable: Unavailable,
): Promise<Resolved> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      if (error instanceof Error && error.name === 'SigningKeyNotFoundError') {
        resolve(undefined);
      } else {
        reject(unavailable(error));
      }
    };
    try {
      const done = (error: unknown, key?: KeyMaterial): void => (error ? fail(error) : resolve(key));
      const pending: unknown = provider(request, token, done);
      // passport-jwt would wait for ever where a key is returned and not handed to the callback
      if (pending instanceof Promise) {
        pending.then((key: Resolved) => key !== undefined && resolve(key), fail);
      }
    } catch (error) {
      fail(error);
    }
  });
}

/** An error as the log may show it: without the token and without any part of it. */
function redacted(error: unknown, { token, header }: UnverifiedToken): string {
  const parts = [token, ...token.split('.'), header.kid ?? ''].filter((part) => part.length > 3);
  return parts.reduce((line, part) => line.replaceAll(part, 'REDACTED'), String(error));
}

function prepare(
  material: KeyMaterial,
  algorithms: readonly SignatureAlgorithm[],
  unavailable: Unavailable,
): VerificationKey {
  const isSecret = isKeyObject(material) ? material.type === 'secret' : !isPem(material);
  const fitting = algorithms.filter((name) => name.startsWith('HS') === isSecret);
  try {
    if (isSecret) {
      return secretKey(material, fitting, 'secretOrKeyProvider');
    }
    // a resolver may serve keys of several types, so the type narrows down what was allowed
    const { key } = publicKey({ publicKey: material });
    return { key, algorithms: fitting };
  } catch (error) {
    throw unavailable(error);
  }
}
