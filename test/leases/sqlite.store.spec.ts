import { statSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { SqliteLeaseStore } from '../../lib/leases/sqlite/index.js';
import type { SqliteThread } from '../../lib/leases/sqlite/sqlite-thread.js';
import type { LinkCommit } from '../../lib/leases/lease-store.js';
import { added, commitOf, HOUR, query, START } from '../../lib/leases/testing/fixtures.js';
import { describeLeaseStore } from '../../lib/leases/testing/index.js';
import { COUNTS_DESCRIPTORS, openDescriptors } from '../support/files.js';
import { createSqlite, hasSqlite, openDatabase, temporaryFile } from './support/sqlite.js';

it.skipIf(hasSqlite)('says at the start what to do where Node has no SQLite', async () => {
  const store = new SqliteLeaseStore({ file: 'never-made.db' });
  await expect(store.open(START)).rejects.toThrow(
    /Run Node 22\.13 or later, or use the PostgreSQL or Redis store/,
  );
});

it('refuses options that the SQLite store does not have, and one without a file', () => {
  expect(() => new SqliteLeaseStore({ path: 'leases.db' } as never)).toThrow(/no option "path"/);
  expect(() => new SqliteLeaseStore({ file: 'leases.db', durability: 'disk' as never })).toThrow(
    /SqliteLeaseStore\.durability: write 'process' or 'power'/,
  );
  expect(() => new SqliteLeaseStore({} as never)).toThrow(/SqliteLeaseStore\.file: give a path/);
});

describe.skipIf(!hasSqlite)('SQLite store', () => {
  describeLeaseStore({ test: it, create: createSqlite });

  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) {
      await cleanUp();
    }
  });

  function file(): string {
    const temporary = temporaryFile();
    cleanUps.push(temporary.remove);
    return temporary.file;
  }

  async function opened(path: string, now = START): Promise<SqliteLeaseStore> {
    const store = new SqliteLeaseStore({ file: path });
    cleanUps.push(() => store.close());
    await store.open(now);
    return store;
  }

  function rows(path: string, table: string): number {
    const db = openDatabase(path);
    const count = db.prepare(`SELECT count(*) AS count FROM ${table}`).get()!.count;
    db.close();
    return Number(count);
  }

  it('remembers what was counted, and since when, after a restart', async () => {
    const path = file();
    const first = await opened(path);
    await first.commit(commitOf([added('a')]));
    await first.close();
    const second = await opened(path, START + HOUR / 2);
    expect(await second.read(query())).toMatchObject({ since: START, records: [{ id: 'a', version: 1 }] });
  });

  it.runIf(COUNTS_DESCRIPTORS)('leaves no descriptor of a file that it cannot use', async () => {
    const path = file();
    writeFileSync(path, 'no database, but long enough to be taken for the header of one: '.repeat(20));
    await expect(new SqliteLeaseStore({ file: path }).open(START)).rejects.toThrow(/not a database/);
    expect(openDescriptors(path)).toBe(0);
  });

  it('forgets what has expired, and nothing else', async () => {
    const path = file();
    const store = await opened(path);
    const open = (linkId: string, changes: Partial<LinkCommit>) =>
      store.commit(commitOf([added('a'), added('b')], { linkId, ...changes }));
    await open('kept', { keepUntil: START + 1000 * HOUR });
    for (let i = 0; i < 2000; i++) {
      const now = START + i * 60_000;
      await open(`link-${i}`, { now, keepUntil: now + HOUR });
    }
    expect(rows(path, 'records')).toBeLessThan(200);
    expect((await store.read(query({ linkId: 'kept' }))).records).toHaveLength(2);
  });

  it('forgets little by little what busy links leave behind', async () => {
    const path = file();
    const store = await opened(path);
    const many = Array.from({ length: 99 }, (_, i) => added(`record-${i}`));
    for (let i = 0; i < 5; i++) {
      await store.commit(commitOf(many, { linkId: `busy-${i}`, keepUntil: START + 1 }));
    }
    const now = START + HOUR;
    const expired = [];
    for (let i = 0; i < 50; i++) {
      await store.commit(commitOf([added('a')], { linkId: `other-${i}`, now, keepUntil: now + HOUR }));
      expired.push(rows(path, 'records') - i - 1);
    }
    expect(new Set(expired).size).toBeGreaterThan(2);
    expect(expired.at(-1)).toBe(0);
  });

  it.each([
    ['full', 'max_page_count = 1', /disk is full/],
    ['read-only', 'query_only = 1', /readonly database/],
  ])('rejects all that was to be written while the disk is %s, and then goes on', async (_, pragma, why) => {
    const store = await opened(file());
    const { thread } = store as unknown as { thread: SqliteThread };
    await thread.read({ sql: `PRAGMA ${pragma}`, values: [] }, START);
    const value = { text: 'x'.repeat(100_000) };
    const commits = Array.from({ length: 20 }, (_, i) => commitOf([added(`record-${i}`, { value })]));
    const outcomes = await Promise.allSettled(commits.map((commit) => store.commit(commit)));
    const { records } = await store.read(query());
    const kept = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [`record-${i}`] : []));
    expect(records.map(({ id }) => id).sort()).toEqual(kept.sort());
    expect(outcomes).toContainEqual({
      status: 'rejected',
      reason: expect.objectContaining({ message: expect.stringMatching(why) }),
    });
    expect(await store.commit(commitOf([added('later', { value })]))).toBe(true);
  });

  it('refuses a file that it cannot read, or that a later version wrote', async () => {
    const noDatabase = file();
    writeFileSync(noDatabase, 'no database at all, but long enough to be taken for one'.repeat(100));
    await expect(opened(noDatabase)).rejects.toThrow(/not a database/);

    const later = file();
    const db = openDatabase(later);
    db.exec('PRAGMA user_version = 99');
    db.close();
    await expect(opened(later)).rejects.toThrow(/another version of nestjs-download-auth/);
    const other = file();
    const unlike = openDatabase(other);
    unlike.exec('PRAGMA user_version = 4; CREATE TABLE revocations (id TEXT)');
    unlike.close();
    await expect(opened(other)).rejects.toThrow(/no such/);
    await expect(opened(':memory:')).rejects.toThrow(/write-ahead log/);
    expect(statSync(later).size).toBeGreaterThan(0);
  });

  it('waits for another process that writes, without blocking this one', async () => {
    const path = file();
    const store = await opened(path);
    const db = openDatabase(path);
    cleanUps.push(() => db.close());
    db.exec('BEGIN IMMEDIATE');
    const answer = store.commit(commitOf([added('a')]));
    // The event loop turns meanwhile, or this timer would never let the answer come.
    setTimeout(() => db.exec('COMMIT'), 50);
    expect(await answer).toBe(true);
  });

  it('is an error to use before it is opened and after it is closed', async () => {
    const path = file();
    await expect(new SqliteLeaseStore({ file: path }).commit(commitOf([]))).rejects.toThrow(/not open/);
    const store = await opened(path);
    await store.close();
    await expect(store.commit(commitOf([]))).rejects.toThrow(/not open/);
  });
});
