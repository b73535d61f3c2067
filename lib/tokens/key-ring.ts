import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type { KeyRingEntry } from '../options/download-auth-options.js';
import { refuseUnknown } from '../options/unknown-option.js';
import { isValidDate } from '../options/valid-date.js';
import { checkAlgorithms } from './algorithms.js';
import type { KeySource } from './key-source.js';
import { publicKey, secretKey, type VerificationKey } from './verification-key.js';

const KNOWN = ['kid', 'secret', 'publicKey', 'privateKey', 'algorithms', 'retiredAt'];

interface RingKey extends VerificationKey {
  readonly retiredAt: number;
}

/**
 * Several keys by `kid`. A token that names no key is verified with the entry that has no `kid`, if there
 * is one; a key verifies nothing from its `retiredAt` on.
 *
 * @throws DownloadAuthConfigurationError for an empty ring, a repeated `kid`, an entry without a key
 */
export function keyRing(entries: readonly KeyRingEntry[], clock: () => number): KeySource {
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
    find: ({ header }) => {
      const key = ring.get(header.kid);
      return key && clock() < key.retiredAt ? key : undefined;
    },
  };
}

function checkEntry(entry: KeyRingEntry, option: string): void {
  refuseUnknown(entry ?? null, KNOWN, option);
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
  const retiredAt = entry.retiredAt?.getTime() ?? Infinity;
  const asymmetric = entry.publicKey ?? entry.privateKey;
  if ((entry.secret === undefined) === (asymmetric === undefined)) {
    throw new DownloadAuthConfigurationError(`${option}: give either secret, or publicKey or privateKey.`);
  }
  const key =
    entry.secret !== undefined
      ? secretKey(entry.secret, entry.algorithms, `${option}.secret`)
      : publicKey(entry, entry.algorithms, `${option}.publicKey`);
  return { ...key, retiredAt };
}
