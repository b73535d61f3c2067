import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type { DownloadAuthOptions } from '../options/download-auth-options.js';
import { checkAlgorithms } from './algorithms.js';
import type { UnverifiedToken } from './compact-jws.js';
import { keyResolver } from './key-resolver.js';
import { keyRing } from './key-ring.js';
import { publicKey, secretKey, type VerificationKey } from './verification-key.js';

/**
 * Finds the key of a token. What the token says of itself (`kid`) may choose among the application's keys;
 * it never brings a key and never chooses an algorithm that the key is not pinned to.
 */
export interface KeySource {
  /** @returns `undefined` where no key of the application can have signed the token */
  find(token: UnverifiedToken, request: unknown): KeyLookup | Promise<KeyLookup>;
}

type KeyLookup = VerificationKey | undefined;

type KeyOptions = Pick<
  DownloadAuthOptions,
  'secret' | 'publicKey' | 'privateKey' | 'keys' | 'secretOrKeyProvider' | 'algorithms'
>;

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
      'No key to verify access tokens with. Write secret: process.env.JWT_SECRET (and see that the variable is set), or publicKey, keys or secretOrKeyProvider.',
    );
  }
  if (named.length > 1) {
    throw new DownloadAuthConfigurationError(
      `Two sources of keys: ${named.join(' and ')}. Give one of them; several keys go into keys: [{ kid, secret }, …].`,
    );
  }
  checkAlgorithms(algorithms, 'algorithms');
  if (keys !== undefined) {
    refuseAlgorithms(algorithms);
    return keyRing(keys, clock);
  }
  if (secretOrKeyProvider !== undefined) return keyResolver(secretOrKeyProvider, algorithms);
  return singleKey(secret !== undefined ? secretKey(secret, algorithms) : publicKey(options, algorithms));
}

function singleKey(key: VerificationKey): KeySource {
  return { find: () => key };
}

function refuseAlgorithms(algorithms: unknown): void {
  if (algorithms === undefined) return;
  throw new DownloadAuthConfigurationError(
    'algorithms: with keys, each key names its own. Write keys: [{ kid, publicKey, algorithms: [...] }].',
  );
}
