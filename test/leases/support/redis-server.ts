import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { ended, untilReady } from './server-process.js';

const PROGRAM = ['redis-server', 'valkey-server'].find((program) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

export const hasRedis = PROGRAM !== undefined;

if (!hasRedis) {
  console.warn('Redis store: skipped, since neither redis-server nor valkey-server is installed.');
}

/** A server of the test's own, on a free loopback port, writing every command to disk at once. */
export class RedisServer {
  private process?: ChildProcess;

  private constructor(
    readonly port: number,
    private readonly folder: string,
    private readonly settings: readonly string[],
  ) {}

  /** @param options `cluster`: as a cluster of this one node */
  static async start({ persistent = true, cluster = false } = {}): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'leases-redis-'));
    const log = persistent ? ['--appendonly', 'yes', '--appendfsync', 'always'] : [];
    const nodes = cluster ? ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] : [];
    const server = new RedisServer(await freePort(), folder, [...log, ...nodes]);
    await server.run();
    if (cluster) {
      await server.takeAllSlots();
    }
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts the server, with what it had on disk. */
  async run({ password }: { password?: string } = {}): Promise<void> {
    const args = [
      '--port',
      String(this.port),
      '--bind',
      '127.0.0.1',
      '--dir',
      this.folder,
      '--save',
      '',
      ...this.settings,
      ...(password === undefined ? [] : ['--requirepass', password]),
    ];
    const server = spawn(PROGRAM!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.process = server;
    await untilReady(server, server.stdout, /Ready to accept connections/i);
  }

  private async takeAllSlots(): Promise<void> {
    const client = new Redis(this.port);
    await client.cluster('ADDSLOTSRANGE', 0, 16_383);
    while (!(await client.cluster('INFO')).includes('cluster_state:ok')) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    client.disconnect();
  }

  /** Ends the server, by default as a crash would. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const server = this.process;
    this.process = undefined;
    await ended(server, signal);
  }

  /** Ends the server, which has nothing when it runs again. */
  async empty(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
