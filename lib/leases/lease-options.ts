import { type ClientDescription } from './client-key.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { type Duration, durationInSeconds } from '../shared/duration.js';
import { checkTypes } from '../shared/option-types.js';
import type { AnyRequest } from '../http/http-exchange.js';
import { type LeaseTerms } from './lease-record.js';
import { type LeaseStore } from './lease-store.js';

/** Seconds after a link's end for which a download of it may go on, at the most. */
const MAX_RESUME_WITHIN = 24 * 60 * 60;

/** No store can keep an infinite number. */
const LARGEST_NUMBER = 1_000_000;

/** How the downloads of limited links are counted. Durations are a number of seconds or a string with its unit. */
export interface LeaseOptions {
  /** Where they are counted. Default: a new `MemoryLeaseStore`, which is good for one process. */
  readonly store?: LeaseStore;
  /**
   * How many times its length one download may send before it is cut, so that restarts and parallel
   * ranges work and a lease is no unlimited link. A link may name an absolute number of bytes
   * instead. Default 2.
   */
  readonly byteBudget?: number;
  /** How long nothing may be sent until nobody can resume the download any more. Default 1 hour. */
  readonly idle?: Duration;
  /** How long a download may take in all; a running one is cut then. Default 24 hours. */
  readonly life?: Duration;
  /**
   * How long a complete download may still be resumed: what the kernel took may not have reached
   * the client. Default 10 seconds.
   */
  readonly grace?: Duration;
  /** How many requests one download may take where the length is not known, and no budget follows from it. Default 3. */
  readonly attempts?: number;
  /**
   * How many requests may run under one download at a time, so that a client cannot open a descriptor for each of
   * thousands. A further one is refused with 503 `LINK_BUSY`. Download managers use up to 16. Default 32.
   */
  readonly connections?: number;
  /** How long after its link's expiry a download may go on, where the link does not say; at most 24 hours. Default 0: not at all. */
  readonly resumeWithin?: Duration;
  /** Whether only the lease cookie makes a request part of a download, where the link does not say. Default false. */
  readonly strict?: boolean;
  /** The longest that a link can live, its `resumeWithin` included: how long revocations are kept. Default 8 days. */
  readonly maxLinkLife?: Duration;
  /** How long to wait for the store until a limited link is refused with 503. Default 2 seconds. */
  readonly storeTimeout?: Duration;
  /**
   * Whether links without a limit are refused with 503, too, while the store does not answer: nobody can then tell
   * whether they were revoked. Default false: they are served.
   */
  readonly failClosed?: boolean;
  /** How often a running download reports its progress to the store. Default 1 second. */
  readonly reportEvery?: Duration;
  /**
   * What makes two requests without a lease cookie the same client; undefined makes them none.
   * Default: the address (of IPv6 the first 64 bits) and the User-Agent.
   */
  readonly clientKey?: (client: ClientDescription) => string | undefined;
  /**
   * Whether a request for a limited link comes from a bot, such as the link preview of a chat. A bot gets 403
   * `BOT_REFUSED`, and no download is counted; HEAD and unlimited links are not asked about. Default: the bot says so
   * in its User-Agent; programs that download for people (curl, wget, aria2 and their like) are none. `false` serves
   * and counts bots like anybody else.
   */
  readonly isBot?: false | ((request: AnyRequest) => boolean);
}

/** What holds where an option is left out. */
export const LEASE_DEFAULTS = {
  byteBudget: 2,
  idle: '1h',
  life: '24h',
  grace: '10s',
  attempts: 3,
  connections: 32,
  resumeWithin: 0,
  strict: false,
  maxLinkLife: '8d',
  storeTimeout: '2s',
  failClosed: false,
  reportEvery: '1s',
} as const satisfies LeaseOptions;

/** The options with the defaults filled in; durations in milliseconds. */
export interface ResolvedLeaseOptions {
  readonly store?: LeaseStore;
  readonly byteBudget: number;
  readonly terms: LeaseTerms;
  readonly resumeWithin: number;
  readonly strict: boolean;
  readonly maxLinkLife: number;
  readonly storeTimeout: number;
  readonly failClosed: boolean;
  readonly reportEvery: number;
  readonly clientKey?: (client: ClientDescription) => string | undefined;
}

/** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot be meant */
export function resolveLeaseOptions(options: LeaseOptions = {}): ResolvedLeaseOptions {
  if (typeof options !== 'object' || options === null) {
    throw new DownloadAuthConfigurationError('leases: give an object of options, such as { store }.');
  }
  const known = new Set(['store', 'clientKey', 'isBot', ...Object.keys(LEASE_DEFAULTS)]);
  for (const name of Object.keys(options)) {
    if (!known.has(name)) {
      throw new DownloadAuthConfigurationError(
        `leases.${name} is not an option. There are: ${[...known].sort().join(', ')}.`,
      );
    }
  }
  checkTypes(options, { strict: 'boolean', failClosed: 'boolean', clientKey: 'function' }, 'leases.');
  if (options.isBot !== undefined && options.isBot !== false && typeof options.isBot !== 'function') {
    throw new DownloadAuthConfigurationError(
      'leases.isBot: write a function of the request that returns true for a bot, or false to count bots like anybody else.',
    );
  }
  checkStore(options.store);
  resumeWithinInSeconds(options.resumeWithin ?? LEASE_DEFAULTS.resumeWithin, 'leases.resumeWithin');
  const duration = (name: DurationName) =>
    Math.round(durationInSeconds(options[name] ?? LEASE_DEFAULTS[name], `leases.${name}`) * 1000);
  return {
    store: options.store,
    clientKey: options.clientKey,
    byteBudget: atLeastOne('byteBudget', options.byteBudget ?? LEASE_DEFAULTS.byteBudget),
    terms: {
      idle: duration('idle'),
      life: duration('life'),
      grace: duration('grace'),
      attempts: atLeastOne('attempts', options.attempts ?? LEASE_DEFAULTS.attempts),
      connections: atLeastOne('connections', options.connections ?? LEASE_DEFAULTS.connections),
    },
    resumeWithin: duration('resumeWithin'),
    strict: options.strict ?? LEASE_DEFAULTS.strict,
    maxLinkLife: duration('maxLinkLife'),
    storeTimeout: duration('storeTimeout'),
    failClosed: options.failClosed ?? LEASE_DEFAULTS.failClosed,
    reportEvery: duration('reportEvery'),
  };
}

/** @throws DownloadAuthConfigurationError for no duration, and for more than 24 hours */
export function resumeWithinInSeconds(resumeWithin: Duration, option: string): number {
  const seconds = durationInSeconds(resumeWithin, option);
  if (seconds <= MAX_RESUME_WITHIN) return seconds;
  throw new DownloadAuthConfigurationError(
    `${option}: a download may go on for 24 hours after its link at most. Write '24h' or less.`,
  );
}

type DurationName =
  'idle' | 'life' | 'grace' | 'resumeWithin' | 'maxLinkLife' | 'storeTimeout' | 'reportEvery';

const STORE_METHODS = [
  'open', 'read', 'commit', 'list', 'revoke', 'subscribe', 'close',
] as const satisfies readonly (keyof LeaseStore)[]; // prettier-ignore

function checkStore(store: LeaseStore | undefined): void {
  if (store === undefined || STORE_METHODS.every((method) => typeof store?.[method] === 'function')) return;
  throw new DownloadAuthConfigurationError(
    "leases.store: give a store, such as new RedisLeaseStore({ url }) of 'nestjs-download-auth/redis', or leave it out to count in memory.",
  );
}

function atLeastOne(name: string, value: number): number {
  if (typeof value !== 'number' || !(value >= 1 && value <= LARGEST_NUMBER)) {
    const given = typeof value === 'number' ? String(value) : JSON.stringify(value);
    throw new DownloadAuthConfigurationError(
      `leases.${name} is ${given}; write a number that is at least 1, and at most ${LARGEST_NUMBER}.`,
    );
  }
  return value;
}
