import jsonwebtoken from 'jsonwebtoken';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { hasRedis } from '../leases/support/redis-server.js';
import { sharedStores } from '../leases/support/shared-stores.js';
import { ADAPTERS } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';

const SERVER = fileURLToPath(new URL('./support/server-process.mjs', import.meta.url));
const { cleanUps, redisServer, worker } = sharedStores('ends:');

/** Asks for a file, and stops reading once the answer has begun. */
function stalledClient(port: number, path: string, authorization = ''): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', reject);
    socket.once('data', (chunk) => {
      socket.pause();
      const status = chunk.toString('latin1').split('\r\n', 1)[0]!;
      return status.endsWith('200 OK') ? resolve(socket) : reject(new Error(status));
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n`);
  });
}

describe.skipIf(!hasRedis).each(ADAPTERS)('a process that gets SIGTERM, on %s', (adapter) => {
  async function start(shutdownTimeout: string) {
    const redis = { url: (await redisServer()).url, prefix: 'ends:' };
    const child = await worker({ redis, adapter, shutdownTimeout }, SERVER);
    const { port } = await child.next<{ port: number }>('listening');
    return { redis, child, port };
  }

  it('ends although a client has stopped reading, and reports it to the store', async () => {
    const { redis, child, port } = await start('300ms');
    child.tell({ do: 'mint', name: 'large', options: { maxDownloads: 1 } });
    const { result } = await child.next<{ result: { id: string; url: string } }>('answer');
    await stalledClient(port, result.url);
    await child.kill('SIGTERM');
    const other = await startLimitedApp(adapter, {
      options: { leases: { store: new RedisLeaseStore(redis) } },
      contents: { file: () => Download.buffer(Buffer.alloc(1)) },
    });
    cleanUps.push(() => other.close());
    const usage = await other.links.usage(result.id);
    expect(usage).toMatchObject({ used: 1, leases: [{ running: 0 }] });
  });

  it('ends though the download of an access token has stopped, too', async () => {
    const { child, port } = await start('300ms');
    const secret = 'a secret that all processes of the test share';
    const token = jsonwebtoken.sign({ sub: 'ada' }, secret, { expiresIn: '1h' });
    await stalledClient(port, '/files/large', `Authorization: Bearer ${token}\r\n`);
    await child.kill('SIGTERM');
  });
});
