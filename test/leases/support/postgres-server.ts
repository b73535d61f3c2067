import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../support/programs.js';
import { ended, untilReady } from './server-process.js';

/** Debian keeps the programs of each version in a folder of its own. */
const PROGRAMS = ['/usr/lib/postgresql', '/usr/local/lib/postgresql']
  .filter(existsSync)
  .flatMap((folder) => readdirSync(folder).map((version) => join(folder, version, 'bin')))
  .filter((folder) => existsSync(join(folder, 'initdb')))
  .at(-1);

export const hasPostgres = PROGRAMS !== undefined;

if (!hasPostgres) {
  console.warn('PostgreSQL store: skipped, since PostgreSQL is not installed.');
}

/** PostgreSQL refuses to run as root. */
export const UNPRIVILEGED: { uid?: number; gid?: number } = process.getuid?.() === 0 ? idsOf('nobody') : {};

/** A server of the test's own, on a free loopback port, in a folder that goes with it. */
export class PostgresServer {
  private process?: ChildProcess;
  private databases = 0;

  private constructor(
    readonly port: number,
    private readonly folder: string,
  ) {}

  static async start(): Promise<PostgresServer> {
    const server = new PostgresServer(await freePort(), scratchFolder());
    server.program('initdb', '--username=test', '--auth=trust', '--locale=C', '--encoding=UTF8', '--no-sync');
    await server.run();
    return server;
  }

  url(database = 'postgres'): string {
    return `postgres://test@127.0.0.1:${this.port}/${database}`;
  }

  /** Makes an empty database, and answers its URL. */
  async database(): Promise<string> {
    const name = `test_${this.databases++}`;
    await this.query(`CREATE DATABASE ${name}`);
    return this.url(name);
  }

  /** Runs a statement as the administrator would. */
  async query(sql: string, database?: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client(this.url(database));
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Starts the server, with what it had on disk. */
  async run(): Promise<void> {
    const settings = [`port=${this.port}`, 'listen_addresses=127.0.0.1', 'fsync=off', 'max_connections=60'];
    const args = ['-D', this.data, '-k', this.folder, ...settings.flatMap((setting) => ['-c', setting])];
    const server = spawn(join(PROGRAMS!, 'postgres'), args, {
      ...UNPRIVILEGED,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.process = server;
    await untilReady(server, server.stderr, /ready to accept/);
  }

  /** Ends the server, by default as a crash would: it recovers from its log when it starts again. */
  async stop(signal: NodeJS.Signals = 'SIGQUIT'): Promise<void> {
    const server = this.process;
    this.process = undefined;
    await ended(server, signal);
  }

  /** A second server that follows this one, and knows all that it knows. */
  async standby(): Promise<PostgresServer> {
    const standby = new PostgresServer(await freePort(), scratchFolder());
    standby.program(
      'pg_basebackup',
      `--dbname=${this.url()}`,
      '--write-recovery-conf',
      '--checkpoint=fast',
      '--no-sync',
    );
    await standby.run();
    return standby;
  }

  async promote(): Promise<void> {
    await this.query('SELECT pg_promote()');
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get data(): string {
    return join(this.folder, 'data');
  }

  private program(name: string, ...args: string[]): void {
    execFileSync(join(PROGRAMS!, name), ['-D', this.data, ...args], { ...UNPRIVILEGED, stdio: 'pipe' });
  }
}

/** A folder that the unprivileged user may write to. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'leases-postgres-'));
  chmodSync(folder, 0o755);
  const { uid, gid } = UNPRIVILEGED;
  if (uid !== undefined && gid !== undefined) {
    chownSync(folder, uid, gid);
  }
  return folder;
}

function idsOf(user: string): { uid: number; gid: number } {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${user}:`))!;
  const [, , uid, gid] = line.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}
