import { Agent, request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisLeaseStore } from '../../lib/leases/redis/index.js';
import { Download } from '../../lib/index.js';
import type { LinkQuery, LinkState } from '../../lib/index.js';
import { hasRedis, RedisServer } from '../leases/support/redis-server.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { ADAPTERS } from '../support/test-app.js';
import { post } from './support/browser-requests.js';

const ADDRESSES = 100;
const GUESSES = 10_000;

describe.skipIf(!hasRedis)('a code of four digits, guessed on two nodes that share a store,', () => {
  let server: RedisServer;
  let nodes: LimitedApp[];
  /** How far the clock of the store is ahead, ms. */
  let ahead = 0;
  const guessed: string[] = [];
  beforeAll(async () => {
    server = await RedisServer.start({ persistent: false });
    class ShiftedStore extends RedisLeaseStore {
      override async read(query: LinkQuery): Promise<LinkState> {
        const state = await super.read(query);
        return { ...state, now: state.now + ahead };
      }
    }
    const challenge = (answer: string) => {
      guessed.push(answer);
      return answer === '9876';
    };
    nodes = await Promise.all(
      ADAPTERS.map((adapter) =>
        startLimitedApp(adapter, {
          options: { challenge, leases: { store: new ShiftedStore({ url: server.url }) } },
          contents: { file: () => Download.buffer(Buffer.from('the file')) },
        }),
      ),
    );
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await server.remove();
  });

  it('stops after ten, whatever the address, and the right one works after the block', async () => {
    const { url, token } = nodes[0]!.link('file', { challenge: true, expiresIn: '1h' });
    const statuses = await Promise.all(
      Array.from({ length: ADDRESSES }, async (_, host) => {
        const node = nodes[host % 2]!;
        const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: `127.0.1.${host + 1}` });
        const counts: Record<number, number> = {};
        for (let i = host; i < GUESSES; i += ADDRESSES) {
          const status = await guess(agent, node.port, token, String(i).padStart(4, '0'));
          counts[status] = (counts[status] ?? 0) + 1;
        }
        agent.destroy();
        return counts;
      }),
    );
    const sum = (status: number) => statuses.reduce((total, counts) => total + (counts[status] ?? 0), 0);
    expect([sum(403), sum(429), sum(303)]).toEqual([10, GUESSES - 10, 0]);
    expect(guessed).toHaveLength(10);

    const right = post({ answer: '9876' });
    const there = url.replace(nodes[0]!.url, nodes[1]!.url);
    expect((await nodes[1]!.fetch(there, right)).status).toBe(429);
    ahead = 15 * 60_000;
    expect((await nodes[1]!.fetch(there, right)).status).toBe(303);
  }, 60_000);
});

function guess(agent: Agent, port: number, token: string, answer: string): Promise<number> {
  const { method, headers, body } = post({ answer });
  return new Promise((resolve, reject) => {
    const path = `/files/file?ss-tok=${token}`;
    const sent = request(
      { agent, port, path, method, headers: headers as Record<string, string> },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
