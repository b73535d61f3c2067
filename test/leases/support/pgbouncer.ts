import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, stop } from '../../support/programs.js';
import { scratchFolder, UNPRIVILEGED } from './postgres-server.js';

/** Where Debian puts it is not on every user's path. */
const PROGRAM = ['pgbouncer', '/usr/sbin/pgbouncer'].find(
  (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined,
);

export const hasPgBouncer = PROGRAM !== undefined;

if (!hasPgBouncer) {
  console.warn('PostgreSQL store: not tested through PgBouncer, which is not installed.');
}

/** PgBouncer in transaction mode before a server, with few connections to it. */
export class PgBouncer {
  private constructor(
    private readonly child: ChildProcess,
    private readonly port: number,
    private readonly folder: string,
  ) {}

  static async start(serverPort: number): Promise<PgBouncer> {
    const folder = scratchFolder();
    const port = await freePort();
    const lines = [
      '[databases]',
      `* = host=127.0.0.1 port=${serverPort} user=test`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      'pool_mode = transaction',
      'default_pool_size = 3',
    ];
    const file = join(folder, 'pgbouncer.ini');
    writeFileSync(file, lines.join('\n'));
    const child = spawn(PROGRAM!, [file], { ...UNPRIVILEGED, stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise<void>((resolve, reject) => {
      let said = '';
      child.stderr.on('data', (chunk) => {
        said += String(chunk);
        if (said.includes('process up')) {
          resolve();
        }
      });
      child.once('exit', () => reject(new Error(`PgBouncer did not start:\n${said}`)));
    });
    return new PgBouncer(child, port, folder);
  }

  /** The way to the same database through this. */
  url(direct: string): string {
    const url = new URL(direct);
    url.port = String(this.port);
    return url.href;
  }

  async stop(): Promise<void> {
    await stop(this.child);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
