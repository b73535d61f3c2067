import { Logger, ServiceUnavailableException } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { Subject } from 'rxjs';
import { HAPPENINGS_KEPT, LinkStore, listedUntil } from './link-store.js';
import type { Happening, LinkChange, LinkEntry, LinkRecord } from './link-store.js';

/** How often to try to listen again while the server is unreachable, ms. */
const LISTEN_EVERY = 1000;

/** The package's store uses the same database, hence the prefix. Instances that start together take turns. */
const TABLES = `
  SELECT pg_advisory_xact_lock(hashtext('sample'));
  CREATE TABLE IF NOT EXISTS sample_links (
    id text PRIMARY KEY, owner text NOT NULL, listed_until double precision NOT NULL, entry text NOT NULL
  );
  CREATE INDEX IF NOT EXISTS sample_links_by_owner ON sample_links (owner);
  CREATE TABLE IF NOT EXISTS sample_happenings (
    seq bigserial PRIMARY KEY, id text NOT NULL REFERENCES sample_links ON DELETE CASCADE, happening text NOT NULL
  );
  CREATE INDEX IF NOT EXISTS sample_happenings_by_link ON sample_happenings (id, seq);
`;
const PUT = `INSERT INTO sample_links VALUES ($1, $2, $3, $4)
  ON CONFLICT (id) DO UPDATE SET listed_until = excluded.listed_until, entry = excluded.entry`;
const NOTE = 'INSERT INTO sample_happenings (id, happening) SELECT id, $2 FROM sample_links WHERE id = $1';
const HAPPENINGS = 'SELECT happening FROM sample_happenings WHERE id = $1 ORDER BY seq DESC LIMIT $2';

/** For several machines. Changes are notified. */
export class PostgresLinkStore extends LinkStore implements OnApplicationShutdown {
  readonly changes = new Subject<LinkChange>();
  private readonly logger = new Logger('PostgresLinkStore');
  private readonly pool: pg.Pool;
  private tables?: Promise<unknown>;
  private timer?: NodeJS.Timeout;
  private listening?: pg.PoolClient;
  private closed = false;

  constructor(connectionString: string) {
    super();
    this.pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 2000, allowExitOnIdle: true });
    this.pool.on('error', (error) => this.warn(error));
    void this.listen();
  }

  async put(entry: LinkEntry): Promise<void> {
    await this.query('DELETE FROM sample_links WHERE listed_until < $1', [Date.now()]);
    const { id, owner } = entry;
    await this.query(PUT, [id, owner, listedUntil(entry), JSON.stringify(entry)]);
    await this.notify(entry);
  }

  async note(entry: LinkEntry, happening: Happening): Promise<void> {
    await this.query(NOTE, [entry.id, JSON.stringify(happening)]);
    await this.notify(entry);
  }

  async find(id: string): Promise<LinkRecord | undefined> {
    const [found] = await this.query('SELECT entry FROM sample_links WHERE id = $1', [id]);
    if (!found) {
      return undefined;
    }
    const rows = await this.query(HAPPENINGS, [id, HAPPENINGS_KEPT]);
    const happenings = rows.map(({ happening }) => JSON.parse(happening!) as Happening).reverse();
    return { ...(JSON.parse(found.entry!) as LinkEntry), happenings };
  }

  async idsOf(owner: string): Promise<string[]> {
    const sql = 'SELECT id FROM sample_links WHERE owner = $1 AND listed_until >= $2';
    const rows = await this.query(sql, [owner, Date.now()]);
    return rows.map(({ id }) => id!);
  }

  async onApplicationShutdown(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    this.stopListening();
    await this.pool.end();
  }

  private async notify({ id, owner }: LinkEntry): Promise<void> {
    await this.query("SELECT pg_notify('sample_changes', $1)", [JSON.stringify({ id, owner })]);
  }

  /** Answers 503 while the server is unreachable. */
  private async query(sql: string, values: (string | number)[]): Promise<Record<string, string>[]> {
    try {
      this.tables ??= this.pool.query(TABLES);
      await this.tables;
      return (await this.pool.query<Record<string, string>>(sql, values)).rows;
    } catch (cause) {
      this.tables = undefined;
      throw new ServiceUnavailableException('The list of links is unavailable at the moment.', { cause });
    }
  }

  private async listen(): Promise<void> {
    try {
      const client = await this.pool.connect();
      this.listening = client;
      client.on('notification', ({ payload = '' }) => this.tell(payload));
      client.on('error', (error) => this.listenAgain(error));
      await client.query('LISTEN sample_changes');
    } catch (error) {
      this.listenAgain(error as Error);
    }
  }

  private listenAgain(error: Error): void {
    this.stopListening();
    if (!this.closed) {
      this.warn(error);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.listen(), LISTEN_EVERY).unref();
    }
  }

  private stopListening(): void {
    this.listening?.release(true);
    this.listening = undefined;
  }

  /** Other users of the database may notify anything on this channel. */
  private tell(text: string): void {
    try {
      this.changes.next(JSON.parse(text) as LinkChange);
    } catch (error) {
      this.warn(error as Error);
    }
  }

  private warn(error: Error): void {
    this.logger.warn(`PostgreSQL cannot be used, so links may be missing from lists: ${error.message}`);
  }
}
