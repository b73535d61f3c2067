import type { AnyRequest } from '../http/http-exchange.js';
import { boolean, checkOptions, duration, rule } from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import { callableAtOnce } from '../shared/hooks.js';
import type { ClientDescription } from './client.js';
import type { LeaseTerms } from './lease-record.js';
import type { LeaseStore } from './lease-store.js';

/**
 * How the downloads of limited links are counted. Durations are a number of seconds or a string with its
 * unit.
 */
export interface LeaseOptions {
  /** Where they are counted. Default: a new `MemoryLeaseStore`, which is good for one process. */
  readonly store?: LeaseStore;
  /**
   * How many times its length one download may send before it is cut: enough for restarts and parallel
   * ranges, but no unlimited use. A link may name an absolute number of bytes instead. Default 2.
   */
  readonly byteBudget?: number;
  /** How long a download may send nothing and still be resumed. Default 1 hour. */
  readonly idle?: Duration;
  /** How long a download may take in all, 24 days at most; a running one is cut then. Default 24 hours. */
  readonly life?: Duration;
  /**
   * How long a complete download may still be resumed: what the kernel took may not have reached the client.
   * Default 10 seconds.
   */
  readonly grace?: Duration;
  /**
   * How many requests one download may take where its length, and so a byte budget, is not known. Default 3.
   */
  readonly attempts?: number;
  /**
   * How many requests may run under one download at a time; a further one is refused with 503 `LINK_BUSY`.
   * Each holds a file descriptor. Download managers use up to 16. Default 32.
   */
  readonly connections?: number;
  /**
   * How long a download may go on after its link has expired, where the link does not say; at most 24 hours.
   * Default 0: not at all.
   */
  readonly resumeWithin?: Duration;
  /**
   * Whether only the lease cookie makes a request part of a download, where the link does not say. Default
   * false.
   */
  readonly strict?: boolean;
  /**
   * The longest that a link can live, its `resumeWithin` included: how long revocations are kept. Default 8
   * days.
   */
  readonly maxLinkLife?: Duration;
  /** How long to wait for the store before a limited link is refused with 503. Default 2 seconds. */
  readonly storeTimeout?: Duration;
  /**
   * Whether links without a limit are refused, too, with 503, while the store does not answer and cannot say
   * whether they were revoked. Default false: they are served.
   */
  readonly failClosed?: boolean;
  /** How often a running download reports its progress to the store. Default 1 second. */
  readonly reportEvery?: Duration;
  /**
   * What makes two requests without a lease cookie the same client; those without a key belong to no client.
   * Default: the address (of IPv6 the first 64 bits) and the User-Agent.
   */
  readonly clientKey?: (client: ClientDescription) => string | undefined;
  /**
   * Whether a request for a limited link comes from a bot, such as the link preview of a chat. A bot gets 403
   * `BOT_REFUSED`, and no download is counted; HEAD and unlimited links are not asked about. Default: what
   * calls itself a bot in its User-Agent; programs that download for people (curl, wget, aria2) are not bots.
   * `false` serves and counts bots like any other client.
   */
  readonly isBot?: false | ((request: AnyRequest) => boolean | Promise<boolean>);
}

/** The options with the defaults filled in; durations in milliseconds. */
export type ResolvedLeaseOptions = ReturnType<typeof resolveLeaseOptions>;

const STORE_METHODS = [
  'open', 'read', 'commit', 'revoke', 'subscribe', 'close',
] as const satisfies readonly (keyof LeaseStore)[]; // prettier-ignore

/** A store cannot keep an infinite number. */
const LARGEST_NUMBER = 1_000_000;

const atLeastOne = rule(
  (value) => typeof value === 'number' && value >= 1 && value <= LARGEST_NUMBER,
  `write a number from 1 to ${LARGEST_NUMBER}.`,
);

/** The rule for `resumeWithin`, of the module and of a link. */
export const resumeWithin: OptionRule = duration({
  most: 24 * 60 * 60,
  advice: "a download may go on for 24 hours after its link at most. Write '24h' or less.",
});

const RULES: OptionRules<LeaseOptions> = {
  store: rule(
    (store) => STORE_METHODS.every((method) => typeof (store as LeaseStore | null)?.[method] === 'function'),
    "give a store, such as new RedisLeaseStore({ url }) of 'nestjs-download-auth/redis', or leave it out to count in memory.",
  ),
  byteBudget: atLeastOne,
  idle: duration(),
  life: duration({ most: 24 * 24 * 60 * 60, advice: "a download is cut by a timer: write '24d' or less." }),
  grace: duration(),
  attempts: atLeastOne,
  connections: atLeastOne,
  resumeWithin,
  strict: boolean,
  maxLinkLife: duration(),
  storeTimeout: duration(),
  failClosed: boolean,
  reportEvery: duration(),
  clientKey: callableAtOnce,
  isBot: rule(
    (value) => value === false || typeof value === 'function',
    'write a function of the request that returns true for a bot, or false to count bots like any other client.',
  ),
};

/** @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work */
export function resolveLeaseOptions(options: LeaseOptions = {}) {
  checkOptions(options, RULES, 'leases');
  const { store, clientKey, byteBudget = 2, attempts = 3, connections = 32 } = options;
  const terms: LeaseTerms = {
    idle: milliseconds(options.idle ?? '1h'),
    life: milliseconds(options.life ?? '24h'),
    grace: milliseconds(options.grace ?? '10s'),
    attempts,
    connections,
  };
  return {
    store,
    clientKey,
    byteBudget,
    terms,
    resumeWithin: milliseconds(options.resumeWithin ?? 0),
    strict: options.strict === true,
    maxLinkLife: milliseconds(options.maxLinkLife ?? '8d'),
    storeTimeout: milliseconds(options.storeTimeout ?? '2s'),
    failClosed: options.failClosed === true,
    reportEvery: milliseconds(options.reportEvery ?? '1s'),
  };
}

function milliseconds(value: Duration): number {
  return Math.round(durationInSeconds(value) * 1000);
}
