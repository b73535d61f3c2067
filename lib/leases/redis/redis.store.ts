import { setTimeout as sleep } from 'node:timers/promises';
import type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkRecord,
  LinkState,
  RevocationListener,
} from '../lease-store.js';
import { parseRevocation } from '../revocation.js';
import type { Revocation } from '../revocation.js';
import { connect, driverFor } from './redis-client.js';
import type { RedisClient } from './redis-client.js';
import type { RedisDriver } from './redis-driver.js';
import { COMMIT, READ, REMEMBER, REVOKE } from './redis-scripts.js';
import { anything, checkOptions, oneOf, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';

/** How long opening waits for the server, ms. Links that are issued before it remembers are refused later. */
const OPEN_TIMEOUT = 2000;

/** How long to wait after a first failure to reach the server, and at most, ms. */
const RETRY_AFTER = 10;
const LONGEST_RETRY = 500;

const RULES = {
  client: anything,
  url: text('such as redis://localhost:6379'),
  prefix: text("such as 'my-app:'"),
  clock: oneOf('server', 'caller'),
};

/** How a {@link RedisLeaseStore} reaches its server. Give `client` or `url`. */
export interface RedisLeaseStoreOptions {
  /** The application's own client, which the application closes. Either this or {@link url}. */
  readonly client?: RedisClient;
  /** `redis://…` or `rediss://…`: the store makes its own client, of `ioredis` or `redis`, and closes it. */
  readonly url?: string;
  /** Prefix of all keys and of the channel. Default `download-auth:`. */
  readonly prefix?: string;
  /**
   * Whose clock tells when a lease is over. `server` (default), so that machines whose clocks differ agree;
   * or `caller`, the moments that the application gives, for tests that inject a clock.
   */
  readonly clock?: 'server' | 'caller';
}

/**
 * A store in Redis or Valkey, version 6 or later, for several machines. docs/leases.md says how to configure
 * the server (persistence, no eviction).
 */
export class RedisLeaseStore implements LeaseStore {
  private driver?: RedisDriver;
  private readonly prefix: string;
  private readonly clock: 'server' | 'caller';
  /** The latest moment that a caller gave. */
  private latest = 0;
  private remembering?: Promise<void>;
  private closed = false;

  /**
   * @throws DownloadAuthConfigurationError for an unknown option, and unless given either a client or a url
   */
  constructor(private readonly options: RedisLeaseStoreOptions) {
    checkOptions(options, RULES, 'RedisLeaseStore');
    if ((options.client === undefined) === (options.url === undefined)) {
      throw new DownloadAuthConfigurationError(
        'The Redis lease store needs a client or a url, one of the two.',
      );
    }
    this.driver = options.client && driverFor(options.client);
    this.prefix = options.prefix ?? 'download-auth:';
    this.clock = options.clock ?? 'server';
  }

  async open(now: number): Promise<void> {
    this.latest = now;
    this.closed = false;
    this.driver ??= await connect(this.options.url!);
    await Promise.race([this.keepRemembering(), sleep(OPEN_TIMEOUT, undefined, { ref: false })]);
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    this.latest = Math.max(this.latest, now);
    const ids = records === 'all' ? ['*'] : records;
    // Sent together: one round trip
    const [values, answer] = await Promise.all([
      this.redis.getAll([this.sinceKey, ...revocations.map((name) => this.revocationKey(name))]),
      ids.length > 0 ? this.redis.run(READ, this.recordKey(linkId), this.clock, ...ids) : [''],
    ]);
    const [since, ...moments] = values;
    const [serverNow, ...found] = answer as string[];
    return {
      now: serverNow ? Number(serverNow) : now,
      since: since === null ? await this.remember(now) : Number(since),
      revokedBefore: Math.max(0, ...moments.map(Number)),
      records: found.flatMap((id, i) => (i % 2 === 0 ? [readRecord(id, found[i + 1]!)] : [])),
    };
  }

  async commit({ linkId, now, keepUntil, changes }: LinkCommit): Promise<boolean> {
    const keep = Math.max(1, Math.ceil(keepUntil - now));
    const records = changes.flatMap(({ id, was, version, value }) => [
      id,
      was === undefined ? '' : String(was),
      value ? `${version} ${JSON.stringify(value)}` : '',
    ]);
    return (await this.redis.run(COMMIT, this.recordKey(linkId), String(keep), ...records)) === 1;
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    const keep = Math.max(1, Math.ceil(keepUntil - now));
    const about = [String(issuedBefore), String(keep), this.channel, JSON.stringify(revocation)];
    await this.redis.run(REVOKE, this.revocationKey(name), ...about);
  }

  subscribe(listener: RevocationListener): () => void {
    // A notice that cannot be read counts as missed
    const message = (text: string) => {
      const revocation = parseRevocation(text);
      return revocation ? listener.revoked(revocation) : listener.missed();
    };
    const ready = () => {
      // A server that came back empty remembers from now on, not only from the first look-up on.
      void this.keepRemembering();
      listener.missed();
    };
    return this.redis.subscribe(this.channel, {
      message,
      ready,
      lost: (reason) => listener.interrupted?.(reason),
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.driver?.close();
    this.driver = this.options.client && this.driver;
  }

  private async remember(now: number): Promise<number> {
    return Number(await this.redis.run(REMEMBER, this.sinceKey, String(now), this.clock));
  }

  /**
   * Tries until the server remembers: the connection for commands may stand later than the one for messages.
   */
  private keepRemembering(): Promise<void> {
    this.remembering ??= (async () => {
      for (let attempt = 1; !this.closed; attempt++) {
        try {
          await this.remember(this.latest);
          return;
        } catch {
          await sleep(Math.min(RETRY_AFTER * attempt, LONGEST_RETRY), undefined, { ref: false });
        }
      }
    })().finally(() => (this.remembering = undefined));
    return this.remembering;
  }

  /** One slot for a link, so that its scripts work in a cluster. */
  private recordKey(linkId: string): string {
    return `${this.prefix}link:{${linkId}}`;
  }

  /** One slot for all revocations, so that one command finds those that concern a link. */
  private revocationKey(name: string): string {
    return `${this.prefix}{revoked}:${name}`;
  }

  private get sinceKey(): string {
    return `${this.prefix}{revoked}:since`;
  }

  private get channel(): string {
    return `${this.prefix}revoked`;
  }

  private get redis(): RedisDriver {
    if (!this.driver) {
      throw new Error('The Redis lease store is not open: open() comes first, and close() last.');
    }
    return this.driver;
  }
}

function readRecord(id: string, stored: string): LinkRecord {
  const space = stored.indexOf(' ');
  return {
    id,
    version: Number(stored.slice(0, space)),
    value: JSON.parse(stored.slice(space)) as object,
  };
}
