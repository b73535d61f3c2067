import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { LeaseStore } from '../../lib/leases/lease-store.js';
import { PostgresLeaseStore, schema } from '../../lib/leases/postgres/index.js';
import type { PostgresLeaseStoreOptions } from '../../lib/leases/postgres/index.js';
import { WHENEVER_ISSUED } from '../../lib/leases/revocation.js';
import { added, commitOf, HOUR, query, START } from '../../lib/leases/testing/fixtures.js';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';
import { silentProxy } from '../support/silent-proxy.js';
import { hasPgBouncer, PgBouncer } from './support/pgbouncer.js';
import { hasPostgres, PostgresServer } from './support/postgres-server.js';
import { undo } from './support/shared-stores.js';

const nameIn = (url: string) => new URL(url).pathname.slice(1);

describe('PostgreSQL store options', () => {
  it('are a pool or a url, and others that exist', () => {
    expect(() => new PostgresLeaseStore({})).toThrow(/a pool or a url/);
    const both = { pool: new pg.Pool(), url: 'postgres://localhost' };
    expect(() => new PostgresLeaseStore(both)).toThrow(/one of/);
    expect(() => new PostgresLeaseStore({ pool: {} as never })).toThrow(/a Pool of the package pg/);
    expect(() => new PostgresLeaseStore({ uri: 'postgres://localhost' } as never)).toThrow(/no option "uri"/);
    expect(() => new PostgresLeaseStore({ url: 'postgres://localhost', clock: 'mine' as never })).toThrow(
      /PostgresLeaseStore\.clock: write 'server' or 'caller'/,
    );
  });
});

describe.skipIf(!hasPostgres)('PostgreSQL store', () => {
  let server: PostgresServer;
  const cleanUps: (() => unknown)[] = [];

  let bouncer: PgBouncer;
  beforeAll(async () => {
    server = await PostgresServer.start();
    if (hasPgBouncer) {
      bouncer = await PgBouncer.start(server.port);
    }
  });
  afterEach(() => undo(cleanUps));
  afterAll(async () => {
    await bouncer?.stop();
    await server?.remove();
  });

  function poolOn(connectionString: string, options: pg.PoolConfig = {}): pg.Pool {
    const pool = new pg.Pool({ connectionString, ...options });
    cleanUps.push(() => pool.end());
    return pool;
  }

  /** Much faster than another database. */
  async function emptied(url: string): Promise<void> {
    await server.query(
      `DO $$ BEGIN IF to_regclass('download_auth_store') IS NOT NULL THEN
         TRUNCATE download_auth_store, download_auth_records, download_auth_revocations;
       END IF; END $$`,
      nameIn(url),
    );
  }

  async function opened(options: PostgresLeaseStoreOptions): Promise<PostgresLeaseStore> {
    const store = new PostgresLeaseStore({ clock: 'caller', ...options });
    cleanUps.push(() => store.close());
    await store.open(START);
    return store;
  }

  function pair(options: PostgresLeaseStoreOptions): { store: LeaseStore; other: LeaseStore } {
    const shared = { clock: 'caller', ...options } as const;
    return { store: new PostgresLeaseStore(shared), other: new PostgresLeaseStore(shared) };
  }

  describe.each([
    { name: 'given a url', options: (url: string) => ({ url }) },
    {
      name: "with the application's pool, whose transactions are repeatable",
      options: (url: string) => {
        const options = '-c default_transaction_isolation=repeatable\\ read';
        return { pool: poolOn(url, { options }) };
      },
    },
    ...(hasPgBouncer
      ? [
          {
            name: 'through PgBouncer in transaction mode',
            options: (url: string) => ({ url: bouncer.url(url) }),
          },
        ]
      : []),
  ])('$name', ({ options }) => {
    let url: string;
    beforeAll(async () => {
      url = await server.database();
    });
    describeLeaseStore({
      test: it,
      create: async () => {
        await emptied(url);
        return pair(options(url));
      },
    });
  });

  it('takes the tables of a migration, and needs no right to make any', async () => {
    const url = await server.database();
    const name = nameIn(url);
    await server.query(`${schema}; ${schema}`, name);
    await server.query(
      `CREATE ROLE app LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO app;
       GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app`,
      name,
    );
    const store = await opened({ url: url.replace('test@', 'app@') });
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
    await store.revoke({ name: 'all', issuedBefore: 1, keepUntil: START + HOUR }, START);
    expect(await store.read(query({ revocations: ['all'] }))).toMatchObject({
      since: START,
      revokedBefore: 1,
    });
  });

  it('asks nothing for a caller that has waited too long for a connection of the pool', async () => {
    const pool = poolOn(await server.database(), { max: 1 });
    const store = new PostgresLeaseStore({ pool, clock: 'caller' });
    cleanUps.push(() => store.close());
    await store.open(START, 500);
    const others = await pool.connect();
    const late = store.commit(commitOf([added('a')]));
    const rejected = expect(late).rejects.toThrow(/no connection of the pool/);
    await new Promise((resolve) => setTimeout(resolve, 510));
    others.release();
    await rejected;
    expect(pool.totalCount).toBe(1);
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
  });

  it('says at the start what the server refuses', async () => {
    const store = (url: string) => new PostgresLeaseStore({ url }).open(START);
    await expect(store(server.url('missing'))).rejects.toThrow(/database "missing" does not exist/);
    const name = nameIn(await server.database());
    await server.query(`${schema}; INSERT INTO download_auth_store VALUES (99, 0)`, name);
    await expect(store(server.url(name))).rejects.toThrow(/of format 99/);
    const bare = await server.database();
    await server.query('CREATE ROLE bare LOGIN', nameIn(bare));
    for (const right of ['CREATE', 'USAGE']) {
      await server.query(`REVOKE ${right} ON SCHEMA public FROM PUBLIC`, nameIn(bare));
      await expect(store(bare.replace('test@', 'bare@'))).rejects.toThrow(/"schema".* into a migration/);
    }
  });

  it('opens within seconds though the server is away, and rejects calls meanwhile', async () => {
    const store = await opened({ url: 'postgres://test@127.0.0.1:1/none' });
    await expect(store.read(query())).rejects.toThrow(/ECONNREFUSED/);
    await expect(store.commit(commitOf([]))).rejects.toThrow(/ECONNREFUSED/);
  });

  it('goes by the clock of the server, whatever the callers think', async () => {
    const store = await opened({ url: await server.database(), clock: 'server' });
    const { since, now } = await store.read(query());
    expect(since).toBeGreaterThan(START + HOUR);
    expect(now).toBeGreaterThan(START + HOUR);
  });

  it('forgets what has expired a few records at a time, and nothing else', async () => {
    const url = await server.database();
    const store = await opened({ url });
    const pool = poolOn(url);
    const count = async (table: string) =>
      Number((await pool.query<{ count: string }>(`SELECT count(*) FROM ${table}`)).rows[0]!.count);
    await store.commit(commitOf([added('a')], { linkId: 'kept', keepUntil: START + 10 * HOUR }));
    const many = Array.from({ length: 60 }, (_, i) => added(`record-${i}`));
    await store.commit(commitOf(many, { keepUntil: START + 1 }));
    const now = START + HOUR;
    const counts = [];
    for (let i = 0; i < 5; i++) {
      await store.commit(commitOf([added('a')], { linkId: `link-${i + 2}`, now, keepUntil: now + HOUR }));
      counts.push(await count('download_auth_records'));
    }
    expect(counts[0]).toBeGreaterThan(40);
    expect(counts.at(-1)).toBe(6);

    const revoke = (name: string, at: number) =>
      store.revoke({ name, issuedBefore: WHENEVER_ISSUED, keepUntil: at + HOUR }, at);
    await revoke('link:1', START);
    await revoke('link:2', START + HOUR);
    expect(await count('download_auth_revocations')).toBe(1);
  });

  it('makes its tables again where they were lost, and knows that it remembers nothing before', async () => {
    const url = await server.database();
    const store = await opened({ url, clock: 'server' });
    cleanUps.push(store.subscribe({ revoked: () => {}, missed: () => {} }));
    const { since } = await store.read(query());
    const tables = ['store', 'records', 'revocations'].map((name) => `download_auth_${name}`).join(', ');
    await poolOn(url).query(`DROP TABLE ${tables}`);
    await expect(store.read(query())).rejects.toThrow(/does not exist/);
    await vi.waitUntil(() => store.read(query()).then(() => true, () => false), { timeout: 5000 }); // prettier-ignore
    expect((await store.read(query())).since).toBeGreaterThan(since);
  });

  it('hears of revocations again, and serves, when another server has taken over', async () => {
    const primary = await PostgresServer.start();
    cleanUps.push(() => primary.remove());
    const standby = await primary.standby();
    cleanUps.push(() => standby.remove());
    // What follows the server: a virtual address, or a name
    const address = await silentProxy(primary.port);
    cleanUps.push(() => address.close());
    const url = `postgres://test@127.0.0.1:${address.port}/postgres`;
    const store = await opened({ url });
    let missed = 0;
    const heard: string[] = [];
    cleanUps.push(store.subscribe({ revoked: ({ name }) => heard.push(name), missed: () => missed++ }));
    await store.commit(commitOf([added('a')]));
    const replicated = () => standby.query('SELECT FROM download_auth_records').catch(() => []);
    await vi.waitUntil(async () => (await replicated()).length === 1, { timeout: 10_000 });
    await vi.waitUntil(() => missed === 1);

    await primary.stop();
    await expect(store.commit(commitOf([added('b')]))).rejects.toThrow();
    address.upstream = standby.port;
    await standby.promote();
    await vi.waitUntil(() => missed > 1, { timeout: 10_000 });
    expect(await store.commit(commitOf([added('a')]))).toBe(false);
    expect(await store.commit(commitOf([added('b')]))).toBe(true);
    await store.revoke({ name: 'all', issuedBefore: 1, keepUntil: START + HOUR }, START);
    await vi.waitUntil(() => heard.length === 1);
  });

  it('outlives connections that the server ends', async () => {
    const url = await server.database();
    const store = await opened({ url });
    let missed = 0;
    cleanUps.push(store.subscribe({ revoked: () => {}, missed: () => missed++ }));
    await vi.waitUntil(() => missed === 1);
    await server.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${nameIn(url)}'`,
    );
    await vi.waitUntil(() => missed === 2, { timeout: 5000 });
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
  });

  it("takes what is reported after it was closed, on the application's pool", async () => {
    const store = await opened({ pool: poolOn(await server.database()) });
    await store.close();
    expect(await store.commit(commitOf([added('a')]))).toBe(true);
  });

  it('is an error to use before it is opened and after it is closed', async () => {
    const store = new PostgresLeaseStore({ url: await server.database() });
    await expect(store.commit(commitOf([]))).rejects.toThrow(/not open/);
    await store.open(START);
    await store.close();
    await expect(store.read(query())).rejects.toThrow(/not open/);
  });
});
