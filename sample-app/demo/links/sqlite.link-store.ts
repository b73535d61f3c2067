import { Logger } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { Subject } from 'rxjs';
import { SettingsError } from '../settings.js';
import { HAPPENINGS_KEPT, LinkStore, listedUntil } from './link-store.js';
import type { Happening, LinkChange, LinkEntry, LinkRecord } from './link-store.js';

/** How often to look for changes of other processes, ms. */
const LOOK_EVERY = 300;

/** The package's store uses the same file, hence the prefix. Changes are rows; those after `seen` are new. */
const TABLES = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS sample_links (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, listed_until INTEGER NOT NULL, entry TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS sample_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, owner TEXT NOT NULL, happening TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS sample_links_by_owner ON sample_links (owner);
  CREATE INDEX IF NOT EXISTS sample_changes_by_link ON sample_changes (id, seq);
`;

/** For several processes on one machine; survives a restart. */
export class SqliteLinkStore extends LinkStore implements OnApplicationShutdown {
  readonly changes = new Subject<LinkChange>();
  private readonly logger = new Logger('SqliteLinkStore');
  private readonly db: Database;
  private readonly timer: NodeJS.Timeout;
  private seen: number;

  /** @throws SettingsError on Node before 22.13, and for a file that cannot be opened */
  constructor(file: string) {
    super();
    this.db = openDatabase(file);
    this.seen = Number(this.db.prepare('SELECT max(seq) AS seq FROM sample_changes').get()?.seq ?? 0);
    this.timer = setInterval(() => this.lookAgain(), LOOK_EVERY).unref();
  }

  put(entry: LinkEntry): Promise<void> {
    this.forgetOld();
    const { id, owner } = entry;
    this.db
      .prepare('INSERT OR REPLACE INTO sample_links VALUES (?, ?, ?, ?)')
      .run(id, owner, listedUntil(entry), JSON.stringify(entry));
    this.change(entry, null);
    return Promise.resolve();
  }

  note(entry: LinkEntry, happening: Happening): Promise<void> {
    this.change(entry, JSON.stringify(happening));
    return Promise.resolve();
  }

  find(id: string): Promise<LinkRecord | undefined> {
    const row = this.db.prepare('SELECT entry FROM sample_links WHERE id = ?').get(id);
    if (!row) {
      return Promise.resolve(undefined);
    }
    const happenings = this.db
      .prepare(
        'SELECT happening FROM sample_changes WHERE id = ? AND happening IS NOT NULL ORDER BY seq DESC LIMIT ?',
      )
      .all(id, HAPPENINGS_KEPT)
      .map(({ happening }) => JSON.parse(String(happening)) as Happening)
      .reverse();
    return Promise.resolve({ ...(JSON.parse(String(row.entry)) as LinkEntry), happenings });
  }

  idsOf(owner: string): Promise<string[]> {
    this.forgetOld();
    const rows = this.db.prepare('SELECT id FROM sample_links WHERE owner = ?').all(owner);
    return Promise.resolve(rows.map(({ id }) => String(id)));
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
    this.db.close();
  }

  private change({ id, owner }: LinkEntry, happening: string | null): void {
    this.db
      .prepare('INSERT INTO sample_changes (id, owner, happening) VALUES (?, ?, ?)')
      .run(id, owner, happening);
    this.look();
  }

  private look(): void {
    const rows = this.db
      .prepare('SELECT seq, id, owner FROM sample_changes WHERE seq > ? ORDER BY seq')
      .all(this.seen);
    this.seen = Number(rows.at(-1)?.seq ?? this.seen);
    const changed = new Map(rows.map(({ id, owner }) => [String(id), String(owner)]));
    for (const [id, owner] of changed) {
      this.changes.next({ id, owner });
    }
  }

  /** Another process may hold a lock on the file for a while. */
  private lookAgain(): void {
    try {
      this.look();
    } catch (error) {
      this.logger.warn(`Changes of other processes cannot be read: ${(error as Error).message}`);
    }
  }

  private forgetOld(): void {
    this.db.prepare('DELETE FROM sample_links WHERE listed_until < ?').run(Date.now());
    this.db.exec('DELETE FROM sample_changes WHERE id NOT IN (SELECT id FROM sample_links)');
  }
}

type Value = string | number | null;
type Row = Record<string, Value>;

/** The part of `node:sqlite` in use; the types of Node 20 do not have it. */
interface Database {
  exec(sql: string): void;
  prepare(sql: string): {
    get(...values: Value[]): Row | undefined;
    all(...values: Value[]): Row[];
    run(...values: Value[]): unknown;
  };
  close(): void;
}

function openDatabase(file: string): Database {
  const sqlite = process.getBuiltinModule('node:sqlite') as unknown as
    { DatabaseSync: new (file: string) => Database } | undefined;
  if (!sqlite) {
    throw new SettingsError(
      `SQLITE_FILE: Node ${process.versions.node} has no SQLite. ` +
        'Start with Node 22.13 or later, or set REDIS_URL instead.',
    );
  }
  try {
    const db = new sqlite.DatabaseSync(file);
    db.exec(`PRAGMA busy_timeout = 5000; ${TABLES}`);
    return db;
  } catch (error) {
    throw new SettingsError(
      `SQLITE_FILE: ${file} cannot be opened (${(error as Error).message}). ` +
        'Name a file in a folder that exists.',
    );
  }
}
