import { Redis } from 'ioredis';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HTTP_ADAPTERS } from '../../../../sample-app/demo/settings.js';
import type { Storage } from '../../../../sample-app/demo/storage.js';
import { hasPostgres, PostgresServer } from '../../../leases/support/postgres-server.js';
import { hasRedis, RedisServer } from '../../../leases/support/redis-server.js';
import { bearer } from '../../../support/test-app.js';
import { REPORT, RunningSample, temporaryFolder } from '../../support/sample.js';

const hasSqlite = process.getBuiltinModule('node:sqlite') !== undefined;
const folder = temporaryFolder({ 'report.pdf': REPORT });

interface SharedPlace {
  readonly storage: Storage;
  /** Everything in it, as text. */
  read(): Promise<string>;
  close(): Promise<void>;
}

const PLACES: { name: string; can: boolean; open: () => Promise<SharedPlace> }[] = [
  { name: 'a Redis', can: hasRedis, open: redisPlace },
  { name: 'a PostgreSQL', can: hasPostgres, open: postgresPlace },
  { name: 'an SQLite file', can: hasSqlite, open: sqlitePlace },
];
const CASES = PLACES.filter(({ can }) => can).flatMap((place) =>
  HTTP_ADAPTERS.map((adapter) => ({ ...place, adapter })),
);

describe.each(CASES)('two instances on $adapter that share $name', ({ open, adapter }) => {
  let place: SharedPlace;
  let one: RunningSample;
  let other: RunningSample;
  beforeAll(async () => {
    place = await open();
    one = await RunningSample.start(adapter, folder, place.storage);
    other = await RunningSample.start(adapter, folder, place.storage);
  });
  afterAll(async () => {
    await one?.close();
    await other?.close();
    await place?.close();
  });

  it('list the same links', async () => {
    const { id, url } = await one.mint({ maxDownloads: 3 });
    expect(await other.links()).toMatchObject([{ id, url, maxDownloads: 3, used: 0 }]);
    expect(await other.links()).toEqual(await one.links());
  });

  it('store no token', async () => {
    const { token } = await one.mint();
    const text = await place.read();
    expect(text).toContain('report.pdf');
    for (const part of token.split('.')) {
      expect(text).not.toContain(part);
    }
  });

  it('count together', async () => {
    const { id, url } = await one.mint({ maxDownloads: 2 });
    const as = (sample: RunningSample, userAgent: string) =>
      sample.request(url, { headers: { 'user-agent': userAgent } });
    expect((await as(one, 'first')).body.equals(REPORT)).toBe(true);
    expect((await as(other, 'second')).body.equals(REPORT)).toBe(true);
    for (const sample of [one, other]) {
      expect((await as(sample, 'third')).status).toBe(410);
      expect((await sample.link(id)).used).toBe(2);
    }
  });

  it('tell what happens on the other one', async () => {
    const live = await other.follow();
    const { id, url } = await one.mint({ maxDownloads: 1, bytesPerSecond: 150_000 });
    const upTo = (isIt: (link: any) => unknown) => live.until((link) => link.id === id && isIt(link));
    await upTo(({ used }) => used === 0);
    const download = one.request(url);
    await upTo(({ progress }) => progress?.running && progress.bytes > 0);
    expect((await download).status).toBe(200);
    await upTo(({ used, progress }) => used === 1 && progress.complete);
    await one.request(url, { headers: { 'user-agent': 'somebody else' } });
    const { happenings } = await upTo((link) => link.happenings.at(-1)?.type === 'refused');
    expect(happenings.map(({ type }: any) => type)).toEqual(['opened', 'completed', 'refused']);
    live.close();
  });

  it('stop a download that runs on the other one when its link is revoked', async () => {
    const live = await one.follow();
    const { id, url } = await one.mint({ bytesPerSecond: 50_000 });
    const { rest } = await one.beginDownload(url);
    const revoked = performance.now();
    await other.revoke(id);
    await expect(rest).rejects.toThrow();
    expect(performance.now() - revoked).toBeLessThan(2_000);
    await live.until((link) => link.id === id && link.state === 'revoked');
    await live.until((link) => link.id === id && link.happenings.some((it: any) => it.type === 'aborted'));
    expect((await one.request(url)).json.code).toBe('LINK_REVOKED');
    live.close();
  });
});

it.skipIf(hasSqlite)('needs a Node with SQLite for SQLITE_FILE, and says so', async () => {
  const storage = { kind: 'sqlite', file: join(folder, 'links.db') } as const;
  await expect(RunningSample.start('express', folder, storage)).rejects.toThrow(/SQLITE_FILE.*Node 22\.13/);
});

it.skipIf(!hasSqlite)('says what to do if the file in SQLITE_FILE cannot be opened', async () => {
  const storage = { kind: 'sqlite', file: join(folder, 'none', 'links.db') } as const;
  await expect(RunningSample.start('express', folder, storage)).rejects.toThrow(
    /SQLITE_FILE.*folder that exists/,
  );
});

const SERVERS = [
  {
    name: 'Redis',
    can: hasRedis,
    start: async () => {
      const server = await RedisServer.start({ persistent: false });
      return { server, storage: { kind: 'redis', url: server.url } as const };
    },
  },
  {
    name: 'PostgreSQL',
    can: hasPostgres,
    start: async () => {
      const server = await PostgresServer.start();
      return { server, storage: { kind: 'postgres', url: server.url() } as const };
    },
  },
];
const startable = SERVERS.filter(({ can }) => can);

it.each(startable)(
  'answers 503 for links while $name is down, and serves other downloads',
  async ({ start }) => {
    const { server, storage } = await start();
    const sample = await RunningSample.start('express', folder, storage);
    try {
      const { url } = await sample.mint({ maxDownloads: 1 });
      await server.stop();
      const headers = bearer(sample.ada);
      expect((await sample.request('/links', { headers })).status).toBe(503);
      expect((await sample.request(url)).json).toMatchObject({ statusCode: 503, code: 'STORE_UNAVAILABLE' });
      expect((await sample.request('/files/report.pdf', { headers })).body.equals(REPORT)).toBe(true);
    } finally {
      await sample.close();
      await server.remove();
    }
  },
);

async function redisPlace(): Promise<SharedPlace> {
  const server = await RedisServer.start({ persistent: false });
  return {
    storage: { kind: 'redis', url: server.url },
    read: async () => {
      const redis = new Redis(server.url);
      const dumps = await Promise.all((await redis.keys('*')).map((key) => redis.dump(key)));
      // A dump may be compressed, so the entries are read as they are too.
      const entries = await redis.mget((await redis.keys('sample:link:*')) as [string]);
      redis.disconnect();
      return [...dumps, ...entries].join('\n');
    },
    close: () => server.remove(),
  };
}

async function postgresPlace(): Promise<SharedPlace> {
  const server = await PostgresServer.start();
  const tables = ['sample_links', 'sample_happenings', 'download_auth_records'];
  return {
    storage: { kind: 'postgres', url: server.url() },
    read: async () => {
      const rows = await Promise.all(tables.map((table) => server.query(`SELECT * FROM ${table}`)));
      return JSON.stringify(rows);
    },
    close: () => server.remove(),
  };
}

/** Checks as well that only the user who runs the application may read the files. */
async function sqlitePlace(): Promise<SharedPlace> {
  const place = mkdtempSync(join(tmpdir(), 'sample-sqlite-'));
  return {
    storage: { kind: 'sqlite', file: join(place, 'links.db') },
    read: async () => {
      const files = readdirSync(place).map((name) => join(place, name));
      expect(files.map((file) => (statSync(file).mode & 0o777).toString(8))).toEqual(files.map(() => '600'));
      return files.map((file) => readFileSync(file, 'latin1')).join('\n');
    },
    close: async () => rmSync(place, { recursive: true }),
  };
}
