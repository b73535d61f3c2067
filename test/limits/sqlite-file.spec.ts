import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SqliteLeaseStore } from '../../lib/leases/sqlite/index.js';
import { undo } from '../leases/support/shared-stores.js';
import { hasSqlite, openDatabase, temporaryFile } from '../leases/support/sqlite.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS } from '../support/test-app.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';

const cleanUps: (() => unknown)[] = [];
afterEach(() => undo(cleanUps));

describe.skipIf(!hasSqlite).each(ADAPTERS)('limited links counted in an SQLite file, on %s', (adapter) => {
  async function start(file: string, logger = new MemoryLogger()) {
    const held = new HeldContent(Buffer.alloc(1000));
    held.release();
    const app = await startLimitedApp(adapter, {
      logger,
      options: { leases: { store: new SqliteLeaseStore({ file }), storeTimeout: '300ms' } },
      contents: { file: () => held.download() },
    });
    cleanUps.push(() => app.close());
    return { app, logger };
  }

  function temporary(): string {
    const { file, remove } = temporaryFile();
    cleanUps.push(remove);
    return file;
  }

  it('are refused with 503 while another process holds the lock, without blocking this thread', async () => {
    const file = temporary();
    const { app } = await start(file);
    const other = openDatabase(file);
    cleanUps.push(() => other.close());
    other.exec('BEGIN IMMEDIATE');
    const { DatabaseSync, StatementSync } = process.getBuiltinModule('node:sqlite' as 'node:fs') as any;
    const calls = [
      ...(['exec', 'prepare', 'close'] as const).map((name) => vi.spyOn(DatabaseSync.prototype, name)),
      ...(['get', 'all', 'run'] as const).map((name) => vi.spyOn(StatementSync.prototype, name)),
    ];
    cleanUps.push(() => vi.restoreAllMocks());
    const links = Array.from({ length: 20 }, () => app.link('file', { maxDownloads: 1 }));
    const [answers, unlimited] = await Promise.all([
      Promise.all(links.map((link) => app.fetch(link))),
      app.fetch(app.link('file')),
    ]);
    expect(answers.map(({ code }) => code)).toEqual(links.map(() => 'STORE_UNAVAILABLE'));
    expect(unlimited.status).toBe(200);
    expect(calls.flatMap(({ mock }) => mock.calls)).toEqual([]);
    vi.restoreAllMocks();

    other.exec('COMMIT');
    const next = app.link('file', { maxDownloads: 1 });
    expect((await app.fetch(next)).status).toBe(200);
    expect(await app.used(next)).toBe(1);
    // The calls whose callers were refused are not made up for.
    expect(other.prepare('SELECT count(DISTINCT link) AS n FROM records').get()!.n).toBe(1);
    expect((await app.fetch(links[0]!)).status).toBe(200);
  });

  it('are served at most once by a process whose file was removed, and one that made a new file', async () => {
    const file = temporary();
    const { app, logger } = await start(file);
    const before = app.link('file', { maxDownloads: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    ['', '-wal', '-shm'].forEach((suffix) => rmSync(file + suffix, { force: true }));
    const { app: restarted } = await start(file, logger);
    const other = (link: { url: string }) => link.url.replace(app.url, restarted.url);

    // Where the file is looked at before the request comes, it is open again by then.
    expect(['STORE_UNAVAILABLE', 'LINK_USED_UP']).toContain((await app.fetch(before)).code);
    expect((await restarted.fetch(other(before))).code).toBe('LINK_USED_UP');
    expect(logger.text).toContain(`${file} was removed or replaced while it was in use`);

    const after = app.link('file', { maxDownloads: 1, strict: true });
    await vi.waitUntil(async () => (await app.fetch(after)).status === 200, { timeout: 10_000 });
    await app.used(after);
    expect((await restarted.fetch(other(after))).code).toBe('LINK_USED_UP');
    expect((await app.fetch(before)).code).toBe('LINK_USED_UP');
  });
});
