import { Logger } from '@nestjs/common';
import { checkOptions, oneOf, rule, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import type { LeaseStore, LinkCommit, LinkQuery, LinkState, RevocationListener } from '../lease-store.js';
import { RevocationPolling } from '../revocation-polling.js';
import type { RevocationNews } from '../revocation-polling.js';
import type { Revocation } from '../revocation.js';
import { commandsOf, connect, isClient } from './redis-client.js';
import type { IoredisClient, OwnClient, RedisClient } from './redis-client.js';
import { COMMIT, NEWS, REVOKE } from './redis-scripts.js';

/** How long opening waits for the server, ms. Links that are issued before it remembers are refused later. */
const OPEN_TIMEOUT = 2000;

/** How often to ask for revocations, ms. This is also how a connection that went silent is noticed. */
const LOOK_EVERY = 250;

/** How a {@link RedisLeaseStore} reaches its server. Give `client` or `url`. */
export interface RedisLeaseStoreOptions {
  /** The application's own client, which the application closes. Either this or {@link url}. */
  readonly client?: RedisClient;
  /** `redis://…` or `rediss://…`: the store makes its own client (`ioredis`, `iovalkey`), and closes it. */
  readonly url?: string;
  /** Prefix of all keys. Default `download-auth:`. */
  readonly prefix?: string;
  /**
   * Whose clock tells when a lease is over. `server` (default), so that machines whose clocks differ agree;
   * or `caller`, the moments that the application gives, for tests that inject a clock.
   */
  readonly clock?: 'server' | 'caller';
}

const RULES = {
  client: rule(isClient, 'give a client of the package ioredis, iovalkey or redis, or a url instead.'),
  url: text('such as redis://localhost:6379'),
  prefix: text("such as 'my-app:'"),
  clock: oneOf('server', 'caller'),
};

/**
 * A store in Redis or Valkey, version 6 or later, for several machines. docs/stores.md says how to configure
 * the server (persistence, no eviction).
 */
export class RedisLeaseStore implements LeaseStore {
  private commands?: IoredisClient;
  private readonly prefix: string;
  private readonly usesServerClock: boolean;
  /** When the store was created, as it was last read. */
  private since?: string;
  /** It has refused a script that looks at keys in two slots. */
  private isCluster = false;
  private readonly polling = new RevocationPolling((after, now) => this.news(after, now), LOOK_EVERY);

  /**
   * @throws DownloadAuthConfigurationError for an unknown option, and unless given either a client or a url
   */
  constructor(private readonly options: RedisLeaseStoreOptions) {
    checkOptions(options, RULES, 'RedisLeaseStore');
    if ((options.client === undefined) === (options.url === undefined)) {
      throw new DownloadAuthConfigurationError('RedisLeaseStore: give a client or a url, one of the two.');
    }
    this.prefix = options.prefix ?? 'download-auth:';
    this.usesServerClock = options.clock !== 'caller';
  }

  async open(now: number): Promise<void> {
    this.commands ??= commandsOf(this.options.client ?? connect(this.options.url!));
    await this.polling.first(now, OPEN_TIMEOUT, () => false);
    void this.warnOfEviction();
  }

  async read(query: LinkQuery): Promise<LinkState> {
    const { now, linkId, records, revocations } = query;
    // It may change meanwhile
    const looked = this.since;
    // Sent together: one round trip
    const [[since, ...moments], found] = await Promise.all([
      this.redis.mget(this.key('since'), ...revocations.map((name) => this.key(name))),
      this.records(this.linkKey(linkId, looked), records),
    ]);
    if (since !== looked) {
      // The server lost its memory, and remembers from now on
      await this.news(undefined, now);
      return this.read(query);
    }
    return {
      now: this.polling.moment(now),
      since: Number(since),
      revokedBefore: Math.max(0, ...moments.map(Number)),
      records: found
        .filter((record) => record !== null)
        .map((record) => {
          const [version, id, value] = JSON.parse(record) as [number, string, object];
          return { id, version, value };
        }),
    };
  }

  async commit({ linkId, now, since, keepUntil, changes }: LinkCommit): Promise<boolean> {
    const fields = changes.flatMap(({ id, was, version, value }) => [
      id,
      was === undefined ? '' : String(was),
      value ? JSON.stringify([version, id, value]) : '',
    ]);
    const args = [String(since), keepFor(keepUntil, now), ...fields];
    const [link, store] = [this.linkKey(linkId, String(since)), this.key('since')];
    if (!this.isCluster) {
      try {
        return (await this.run(COMMIT, [link, store], args)) === 1;
      } catch (error) {
        this.isCluster = error instanceof Error && error.message.startsWith('CROSSSLOT');
        if (!this.isCluster) {
          throw error;
        }
      }
    }
    // Sent together. The script cannot look at what another node may have
    const [done, [known]] = await Promise.all([this.run(COMMIT, [link], args), this.redis.mget(store)]);
    return done === 1 && Number(known) === since;
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    const args = [String(issuedBefore), keepFor(keepUntil, now), JSON.stringify(revocation)];
    await this.run(REVOKE, [this.key(name), this.key('log')], args);
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  close(): Promise<void> {
    if (!this.options.client) {
      (this.commands as OwnClient | undefined)?.disconnect();
      this.commands = undefined;
    }
    return Promise.resolve();
  }

  /** Also looks since when the server remembers; from now on, if it did not until now. */
  private async news(after: number | undefined, callers: number): Promise<RevocationNews> {
    const args = [this.usesServerClock ? '' : String(callers), String(after ?? '+inf')];
    const answer = await this.run(NEWS, [this.key('since'), this.key('log')], args);
    const [now, since, last, revocations] = answer as [string, string, string, string[]];
    this.since = since;
    return {
      now: this.usesServerClock ? Number(now) : undefined,
      last: Number(last),
      revocations: revocations.map((json) => JSON.parse(json) as Revocation),
    };
  }

  private async warnOfEviction(): Promise<void> {
    // Its role may not ask
    const memory = await this.redis.info('memory').catch(() => '');
    const valueOf = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(memory)?.[1];
    const policy = valueOf('maxmemory_policy');
    if (Number(valueOf('maxmemory') ?? 0) > 0 && policy !== 'noeviction') {
      new Logger('DownloadAuth').warn(
        `Redis may evict keys (maxmemory-policy ${policy}), and a limited link whose key is gone can be used again. ` +
          'Set maxmemory-policy to noeviction, or give the lease store a server of its own.',
      );
    }
  }

  private async records(key: string, ids: LinkQuery['records']): Promise<(string | null)[]> {
    if (ids === 'all') {
      return this.redis.hvals(key);
    }
    return ids.length > 0 ? this.redis.hmget(key, ...ids) : [];
  }

  private run(script: string, keys: string[], args: string[]): Promise<unknown> {
    return this.redis.eval(script, keys.length, ...keys, ...args);
  }

  private get redis(): IoredisClient {
    if (!this.commands) {
      throw new Error('The Redis lease store is not open: open() comes first, and close() last.');
    }
    return this.commands;
  }

  /** Other keys after the server lost its memory, so that what is written too late is not found. */
  private linkKey(linkId: string, since = ''): string {
    return `${this.prefix}link:{${linkId}}:${since}`;
  }

  /** One cluster slot for all revocations, so that one command finds those that concern a link. */
  private key(name: string): string {
    return `${this.prefix}{revoked}:${name}`;
  }
}

/** Milliseconds, for PEXPIRE. */
const keepFor = (keepUntil: number, now: number) => String(Math.max(1, Math.ceil(keepUntil - now)));
