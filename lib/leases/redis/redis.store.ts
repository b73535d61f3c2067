import { setTimeout as sleep } from 'node:timers/promises';
import { type Lease } from '../lease-record.js';
import {
  type LeaseCommit,
  type LeaseList,
  type LeaseListQuery,
  type LeaseQuery,
  type LeaseRecord,
  type LeaseStore,
  type LinkRecord,
  type LinkState,
  type RevocationListener,
} from '../lease-store.js';
import { parseRevocation, type Revocation, revocationNames } from '../revocation.js';
import { connect, driverFor, type RedisClient } from './redis-client.js';
import { type RedisDriver } from './redis-driver.js';
import { COMMIT, LIST, READ, REMEMBER, REVOKE } from './redis-scripts.js';
import { DownloadAuthConfigurationError } from '../../shared/configuration-error.js';

/** Milliseconds for which opening waits for the server, so that no link is issued before it remembers. */
const OPEN_TIMEOUT = 2000;

/** How a {@link RedisLeaseStore} reaches its server. Give `client` or `url`. */
export interface RedisLeaseStoreOptions {
  /** A client that the application has, and closes itself. Either this or {@link url}. */
  readonly client?: RedisClient;
  /** `redis://…` or `rediss://…`: the store makes its own client, of `ioredis` or `redis`, and closes it. */
  readonly url?: string;
  /** What every key and channel begins with. Default `download-auth:`. */
  readonly prefix?: string;
  /**
   * Whose clock tells when a lease is over. `server` (default): machines whose clocks differ then
   * agree. `caller`: the moments given by the application, for tests that inject a clock.
   */
  readonly clock?: 'server' | 'caller';
}

/**
 * A store in Redis or Valkey, version 6 or later, for several machines. What it needs of the
 * server's configuration (persistence, no eviction) is in docs/leases.md.
 */
export class RedisLeaseStore implements LeaseStore {
  private driver?: RedisDriver;
  private readonly prefix: string;
  private readonly clock: 'server' | 'caller';
  /** The latest moment that a caller named. */
  private latest = 0;

  /** @throws DownloadAuthConfigurationError unless given either a client or a url */
  constructor(private readonly options: RedisLeaseStoreOptions) {
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
    this.driver ??= await connect(this.options.url!);
    const patience = sleep(OPEN_TIMEOUT, undefined, { ref: false });
    await Promise.race([this.untilRemembering(now, performance.now() + OPEN_TIMEOUT), patience]);
  }

  async read(query: LeaseQuery): Promise<LinkState> {
    const { now, linkId, leased, leases, keys } = query;
    this.latest = Math.max(this.latest, now);
    const names = revocationNames(query).map(([kind, name]) => this.revocationKey(kind, name));
    // Both are under way before either is answered: one round trip.
    const [values, answer] = await Promise.all([
      this.redis.getAll([this.sinceKey, ...names]),
      leased
        ? this.redis.run(READ, this.recordKey(linkId), this.clock, String(leases.length), ...leases, ...keys)
        : NOTHING,
    ]);
    const [since, ...moments] = values;
    const [serverNow, link, ...found] = answer as string[];
    return {
      now: serverNow ? Number(serverNow) : now,
      since: since === null ? await this.remember(now) : Number(since),
      revokedBefore: Math.max(0, ...moments.map(Number)),
      link: parseLink(link!),
      leases: found.flatMap((id, i) => (i % 2 === 0 ? [parseLease(id, found[i + 1]!)] : [])),
    };
  }

  async commit({ linkId, now, keepUntil, enough, most, link, leases }: LeaseCommit): Promise<boolean> {
    const keep = Math.max(1, Math.ceil(keepUntil - now));
    const about = [keep, now, enough, Math.min(most, Number.MAX_SAFE_INTEGER)].map(String);
    const own = link ? [text(link.was), String(link.version), String(link.used)] : ['-', '', ''];
    const changes = leases.flatMap(({ id, was, version, until, keys, lease }) => [
      ...[id, text(was), String(version), String(until), keys.join(',')],
      lease ? JSON.stringify(lease) : '',
    ]);
    return (await this.redis.run(COMMIT, this.recordKey(linkId), ...about, ...own, ...changes)) === 1;
  }

  async list({ linkId, limit, after = '' }: LeaseListQuery): Promise<LeaseList> {
    const answer = await this.redis.run(LIST, this.recordKey(linkId), String(limit), after);
    const [used, next, ...leases] = answer as string[];
    return {
      used: Number(used),
      leases: leases.map((lease) => parseLease('', lease).lease),
      next: next === '' ? undefined : next,
    };
  }

  async revoke(revocation: Revocation, now: number): Promise<void> {
    const { kind, name, issuedBefore, keepUntil } = revocation;
    const keep = Math.max(1, Math.ceil(keepUntil - now));
    const key = this.revocationKey(kind, name);
    await this.redis.run(
      REVOKE,
      key,
      String(issuedBefore),
      String(keep),
      this.channel,
      JSON.stringify(revocation),
    );
  }

  subscribe(listener: RevocationListener): () => void {
    // Thrown here, an exception would end the process: a notice that cannot be read is one that was missed
    const message = (text: string) => {
      const revocation = parseRevocation(text);
      return revocation ? listener.revoked(revocation) : listener.missed();
    };
    const ready = () => {
      // A server that came back empty remembers from now on, and not only from the first look-up on.
      this.remember(this.latest).catch(() => {});
      listener.missed();
    };
    return this.redis.subscribe(this.channel, {
      message,
      ready,
      lost: (reason) => listener.interrupted?.(reason),
    });
  }

  async close(): Promise<void> {
    await this.driver?.close();
    this.driver = this.options.client && this.driver;
  }

  private async remember(now: number): Promise<number> {
    return Number(await this.redis.run(REMEMBER, this.sinceKey, String(now), this.clock));
  }

  /** A client that was just made has no connection yet. */
  private async untilRemembering(now: number, giveUp: number): Promise<void> {
    while (performance.now() < giveUp) {
      try {
        await this.remember(now);
        return;
      } catch {
        await sleep(20, undefined, { ref: false });
      }
    }
  }

  /** One slot for a link, so that its scripts work in a cluster. */
  private recordKey(linkId: string): string {
    return `${this.prefix}link:{${linkId}}`;
  }

  /** One slot for all revocations, so that one command finds those that concern a link. */
  private revocationKey(kind: Revocation['kind'], name: string): string {
    return `${this.prefix}{revoked}:${kind}:${name}`;
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

/** No record: what {@link READ} would answer. */
const NOTHING = ['', ''];

function text(version: number | undefined): string {
  return version === undefined ? '' : String(version);
}

function parseLink(link: string): LinkRecord | undefined {
  const [version, used] = link.split(' ');
  return link === '' ? undefined : { version: Number(version), used: Number(used) };
}

function parseLease(id: string, stored: string): LeaseRecord {
  const state = stored.indexOf('{');
  const [version, , , keys] = stored.slice(0, state).split(' ');
  return {
    id,
    version: Number(version),
    keys: keys ? keys.split(',') : [],
    lease: JSON.parse(stored.slice(state)) as Lease,
  };
}
