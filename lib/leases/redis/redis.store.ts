import { anything, checkOptions, oneOf, text } from '../../shared/check-options.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';
import { errorReason } from '../../shared/error-reason.js';
import { ThrottledLogger } from '../../shared/throttled-logger.js';
import type {
  LeaseStore,
  LinkCommit,
  LinkQuery,
  LinkRecord,
  LinkState,
  RevocationListener,
} from '../lease-store.js';
import { RevocationPolling } from '../revocation-polling.js';
import type { RevocationNews } from '../revocation-polling.js';
import type { Revocation } from '../revocation.js';
import { commandsOf, connect } from './redis-client.js';
import type { IoredisClient, OwnClient, RedisClient } from './redis-client.js';
import { COMMIT, NEWS, REVOKE } from './redis-scripts.js';
import type { Script } from './redis-scripts.js';

/** How long opening waits for the server, ms. Links that are issued before it remembers are refused later. */
const OPEN_TIMEOUT = 2000;

/** How often to ask for revocations, ms. This is also how a connection that went silent is noticed. */
const LOOK_EVERY = 250;
/** How a {@link RedisLeaseStore} reaches its server. Give `client` or `url`. */
export interface RedisLeaseStoreOptions {
  /** The application's own client, which the application closes. Either this or {@link url}. */
  readonly client?: RedisClient;
  /** `redis://…` or `rediss://…`: the store makes its own client, of `ioredis` or `iovalkey`, and closes it. */
  readonly url?: string;
  /** Prefix of all keys. Default `download-auth:`. */
  readonly prefix?: string;
  /**
   * Whose clock tells when a lease is over. `server` (default), so that machines whose clocks differ agree;
   * or `caller`, the moments that the application gives, for tests that inject a clock.
   */
  readonly clock?: 'server' | 'caller';
}

/**
 * A store in Redis or Valkey, version 6 or later, for several machines. docs/stores.md says how to configure
 * the server (persistence, no eviction).
 */
export class RedisLeaseStore implements LeaseStore {
  private commands?: IoredisClient;
  /** The client that the store made itself. */
  private own?: OwnClient;
  private readonly prefix: string;
  private readonly clock: 'server' | 'caller';
  /** The latest moment that a caller gave. */
  private latest = 0;
  /** When the store was created, as it was last read. */
  private since?: string;
  /** It has refused a script that looks at keys in two slots. */
  private isCluster = false;
  private readonly logger = new ThrottledLogger('DownloadAuth');
  private readonly report = (error: unknown): void => {
    this.logger.error('redis', `The connection to Redis fails: ${errorReason(error)}`);
  };
  private readonly polling = new RevocationPolling((after) => this.news(after), LOOK_EVERY);

  /**
   * @throws DownloadAuthConfigurationError for an unknown option, and unless given either a client or a url
   */
  constructor(private readonly options: RedisLeaseStoreOptions) {
    const rules = {
      client: anything,
      url: text('such as redis://localhost:6379'),
      prefix: text("such as 'my-app:'"),
      clock: oneOf('server', 'caller'),
    };
    checkOptions(options, rules, 'RedisLeaseStore');
    if ((options.client === undefined) === (options.url === undefined)) {
      throw new DownloadAuthConfigurationError(
        'The Redis lease store needs a client or a url, one of the two.',
      );
    }
    this.commands = options.client && commandsOf(options.client, this.report);
    this.prefix = options.prefix ?? 'download-auth:';
    this.clock = options.clock ?? 'server';
  }

  async open(now: number): Promise<void> {
    this.latest = now;
    if (!this.commands) {
      this.own = connect(this.options.url!);
      this.commands = commandsOf(this.own, this.report);
    }
    await this.polling.first(OPEN_TIMEOUT);
    void this.warnOfEviction();
  }

  async read({ now, linkId, records, revocations }: LinkQuery): Promise<LinkState> {
    this.latest = Math.max(this.latest, now);
    // Other reads may change it meanwhile
    const looked = this.since;
    // Sent together: one round trip
    const [[since, ...moments], found] = await Promise.all([
      this.redis.mget(this.key('since'), ...revocations.map((name) => this.key(name))),
      this.records(this.linkKey(linkId, looked), records),
    ]);
    if (since !== looked) {
      if (since === null) {
        // The server came back empty, and remembers from now on
        await this.news();
      }
      this.since = since ?? undefined;
      return this.read({ now, linkId, records, revocations });
    }
    return {
      now: this.polling.moment(now),
      since: Number(since),
      revokedBefore: Math.max(0, ...moments.map(Number)),
      records: found.filter((record) => record !== null).map(parse),
    };
  }

  async commit(commit: LinkCommit): Promise<boolean> {
    const { linkId, now, since, keepUntil, changes } = commit;
    const fields = changes.flatMap(({ id, was, version, value }) => [
      id,
      was === undefined ? '' : String(was),
      value ? `${version} ${id} ${JSON.stringify(value)}` : '',
    ]);
    const args = [String(since), String(Math.max(1, Math.ceil(keepUntil - now))), ...fields];
    const [link, store] = [this.linkKey(linkId, String(since)), this.key('since')];
    if (this.isCluster) {
      // Sent together. The script cannot look at what another node may have
      const [done, [known]] = await Promise.all([this.run(COMMIT, [link], ...args), this.redis.mget(store)]);
      return done === 1 && Number(known) === since;
    }
    try {
      return (await this.run(COMMIT, [link, store], ...args)) === 1;
    } catch (error) {
      this.isCluster = error instanceof Error && error.message.startsWith('CROSSSLOT');
      if (this.isCluster) {
        return this.commit(commit);
      }
      throw error;
    }
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { name, issuedBefore, keepUntil } = revocation;
    this.latest = Math.max(this.latest, now);
    const keep = Math.max(1, Math.ceil(keepUntil - now));
    const args = [this.moment, String(issuedBefore), String(keep), JSON.stringify(revocation)];
    await this.run(REVOKE, [this.key(name), this.key('log')], ...args);
  }

  subscribe(listener: RevocationListener): () => void {
    return this.polling.subscribe(listener);
  }

  close(): Promise<void> {
    if (this.own) {
      this.own.disconnect();
      this.own = undefined;
      this.commands = undefined;
    }
    return Promise.resolve();
  }

  /** Also makes the server remember from now on, if it does not yet. */
  private async news(after?: number): Promise<RevocationNews> {
    const answer = await this.run(
      NEWS,
      [this.key('since'), this.key('log')],
      this.moment,
      String(after ?? ''),
    );
    const [now, last, ...revocations] = answer as string[];
    return {
      now: this.clock === 'server' ? Number(now) : undefined,
      last: Number(last),
      revocations: revocations.map((json) => JSON.parse(json) as Revocation),
    };
  }

  private async warnOfEviction(): Promise<void> {
    let memory: string;
    try {
      memory = await this.redis.info('memory');
    } catch {
      // Its role may not ask
      return;
    }
    const valueOf = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(memory)?.[1] ?? '';
    const policy = valueOf('maxmemory_policy');
    if (Number(valueOf('maxmemory')) > 0 && policy !== 'noeviction') {
      this.logger.warn(
        'eviction',
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

  /** Runs a script by its digest, or by its text where the server does not know the digest. */
  private async run({ sha, text }: Script, keys: string[], ...args: string[]): Promise<unknown> {
    const { redis } = this;
    try {
      return await redis.evalsha(sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) {
        return redis.eval(text, keys.length, ...keys, ...args);
      }
      throw error;
    }
  }

  private get redis(): IoredisClient {
    if (!this.commands) {
      throw new Error('The Redis lease store is not open: open() comes first, and close() last.');
    }
    return this.commands;
  }

  /** What scripts are given as the caller's moment. */
  private get moment(): string {
    return this.clock === 'server' ? '' : String(this.latest);
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

/** @param record version, id and value as JSON, separated by spaces */
function parse(record: string): LinkRecord {
  const [, version, id, json] = /^(\S+) (\S+) (.*)$/s.exec(record)!;
  return { id: id!, version: Number(version), value: JSON.parse(json!) as object };
}
