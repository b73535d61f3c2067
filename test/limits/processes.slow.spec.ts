import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download } from '../../lib/index.js';
import type { CreateLinkOptions, LinkRevocation, LinkUsage } from '../../lib/index.js';
import type { StoreDescription, Worker } from '../leases/support/processes.js';
import { sharedStores, undo } from '../leases/support/shared-stores.js';
import { ADAPTERS } from '../support/test-app.js';
import type { AdapterName } from '../support/test-app.js';
import { startLimitedApp } from '../support/limited-app.js';
import { receive, start } from '../support/http-client.js';

const SERVER = fileURLToPath(new URL('./support/server-process.mjs', import.meta.url));
const HALF = 10_000;

const { cleanUps, worker: startWorker, stores, servers } = sharedStores('limits:');

/** Adapters and stores do not know of each other, so each adapter takes one store where a test is slow. */
const KILLED = { express: 'SQLite', fastify: 'PostgreSQL' };
const AWAY = { express: 'PostgreSQL', fastify: 'Redis' };

interface MintedLink {
  readonly id: string;
  /** From the path on. */
  readonly url: string;
}

/** An application in a process of its own. */
class ServerProcess {
  private constructor(
    private readonly worker: Worker,
    readonly url: string,
  ) {}

  /** @param storeTimeout so long by default that a burst on a busy machine finds its store in time */
  static async start(
    adapter: AdapterName,
    store: StoreDescription,
    storeTimeout = '10s',
  ): Promise<ServerProcess> {
    const description = { ...store, adapter, storeTimeout };
    const worker = await startWorker(description, SERVER);
    const { port } = await worker.next<{ port: number }>('listening');
    return new ServerProcess(worker, `http://127.0.0.1:${port}`);
  }

  mint(options: CreateLinkOptions, name = 'file'): Promise<MintedLink> {
    return this.ask({ do: 'mint', name, options });
  }

  revoke(target: LinkRevocation): Promise<void> {
    return this.ask({ do: 'revoke', target });
  }

  resource(name: string): Promise<string> {
    return this.ask({ do: 'resource', name });
  }

  usage({ id }: MintedLink): Promise<LinkUsage> {
    return this.ask({ do: 'usage', id });
  }

  kill(): Promise<void> {
    return this.worker.kill();
  }

  /**
   * The status of a request of a client of its own, with its code; `broken` where there was no whole answer.
   */
  async outcome({ url }: MintedLink, userAgent: string): Promise<string> {
    try {
      const answer = await receive(this.url + url, { headers: { 'user-agent': userAgent } });
      return answer.broken ? 'broken' : [answer.status, answer.code].filter(Boolean).join(' ');
    } catch {
      return 'broken';
    }
  }

  /** One question at a time. */
  private async ask<T>(message: object): Promise<T> {
    this.worker.tell(message);
    const { result, error } = await this.worker.next<{ result: T; error?: string }>('answer');
    if (error) {
      throw new Error(error);
    }
    return result;
  }
}

/** How often each outcome occurs. */
function tally(outcomes: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}

/** Requests of ever new clients on several nodes, until told to end. */
class Load {
  readonly outcomes: { link: MintedLink; outcome: string }[] = [];
  private over = false;
  private readonly loops: Promise<void>[];

  constructor(nodes: readonly ServerProcess[], links: readonly MintedLink[], name: string) {
    this.loops = nodes.flatMap((node, n) =>
      [0, 1].map(async (loop) => {
        for (let i = 0; !this.over; i++) {
          const link = links[i % links.length]!;
          const outcome = await node.outcome(link, `${name}-${n}-${loop}-${i}`);
          this.outcomes.push({ link, outcome });
        }
      }),
    );
  }

  served({ id }: MintedLink): number {
    return this.count(({ link, outcome }) => link.id === id && outcome === '200');
  }

  count(is: (one: { link: MintedLink; outcome: string }) => boolean): number {
    return this.outcomes.filter(is).length;
  }

  /** Waits until an outcome has occurred so many times more, of one of the links where they are given. */
  async until(outcome: string, more: number, link?: MintedLink): Promise<void> {
    const from = this.outcomes.length;
    const isIt = (one: { link: MintedLink; outcome: string }) =>
      one.outcome === outcome && (!link || one.link.id === link.id);
    while (this.outcomes.slice(from).filter(isIt).length < more) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async end(): Promise<void> {
    this.over = true;
    await Promise.all(this.loops);
  }
}

describe.each(ADAPTERS)('over HTTP, on %s', (adapter) => {
  it('memory, one process: serves exactly 5 of 200 clients at once for a link of 5', async () => {
    const app = await startLimitedApp(adapter, {
      contents: { file: () => Download.buffer(Buffer.alloc(HALF)) },
    });
    cleanUps.push(() => app.close());
    const link = app.link('file', { maxDownloads: 5 });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => app.fetch(link, { headers: { 'user-agent': `client-${i}` } })),
    );
    const outcomes = answers.map(({ status, code = '' }) => `${status} ${code}`);
    expect(tally(outcomes)).toEqual({ '200 ': 5, '410 LINK_USED_UP': 195 });
  });

  describe.each(stores)('$store, two processes', ({ available, describe: describeStore }) => {
    let nodes: ServerProcess[];
    const shared: (() => unknown)[] = [];
    beforeAll(async () => {
      if (!available) {
        return;
      }
      const store = await describeStore();
      nodes = await Promise.all([ServerProcess.start(adapter, store), ServerProcess.start(adapter, store)]);
      shared.push(...cleanUps.splice(0));
    });
    afterAll(() => undo(shared));

    it.skipIf(!available)('serve exactly 5 of 200 clients at once for a link of 5', async () => {
      for (const round of [1, 2]) {
        const link = await nodes[0]!.mint({ maxDownloads: 5 });
        const outcomes = await Promise.all(
          Array.from({ length: 200 }, (_, i) => nodes[i % 2]!.outcome(link, `client-${round}-${i}`)),
        );
        expect(tally(outcomes)).toEqual({ '200': 5, '410 LINK_USED_UP': 195 });
        expect((await nodes[1]!.usage(link)).used).toBe(5);
      }
    });

    it.skipIf(!available)(
      'cut what runs within a second of its revocation, and refuse its resume',
      async () => {
        const [here] = nodes as [ServerProcess, ServerProcess];
        const limited = { subject: 'ada', maxDownloads: 1 };
        const revocations: [CreateLinkOptions, (link: MintedLink) => LinkRevocation][] = [
          [limited, ({ id }) => ({ link: id })],
          [{ revocable: true }, ({ id }) => ({ link: id })],
          [{}, ({ id }) => ({ link: id })],
          [limited, () => ({ subject: 'ada' })],
          [limited, () => ({ resource })],
          [limited, () => ({ issuedBefore: new Date() })],
        ];
        const resource = await here.resource('held');
        for (const [options, target] of revocations) {
          const link = await here.mint(options, 'held');
          const running = await Promise.all(nodes.map(({ url }) => start(url + link.url)));
          await Promise.all(running.map((one) => one.until(HALF)));
          const revokedAt = performance.now();
          await here.revoke(target(link));
          const cut = await Promise.all(running.map(({ ended }) => ended));
          expect(performance.now() - revokedAt).toBeLessThan(1000);
          expect(cut.map(({ broken, received }) => ({ broken, received }))).toEqual(
            Array(2).fill({ broken: true, received: HALF }),
          );
          for (const { url } of nodes) {
            const resume = await receive(url + link.url, { headers: { range: `bytes=${HALF}-` } });
            expect([resume.status, resume.code]).toEqual([410, 'LINK_REVOKED']);
          }
          // what is issued in the millisecond of a revocation is revoked with the rest
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      },
    );
  });

  const killed = stores.find(({ store }) => store === KILLED[adapter])!;
  it.skipIf(!killed.available)(
    `${killed.store}: nothing that was counted is forgotten when all processes are killed under load`,
    async () => {
      const store = await killed.describe();
      const nodes = await Promise.all([
        ServerProcess.start(adapter, store),
        ServerProcess.start(adapter, store),
      ]);
      const links = await mintSeveral(nodes[0], 4, { maxDownloads: 60 });
      const load = new Load(nodes, links, 'load');
      await load.until('200', 80);
      await Promise.all(nodes.map((node) => node.kill()));
      await load.until('broken', 1);
      await load.end();
      const last = await ServerProcess.start(adapter, store);
      for (const link of links) {
        const { used } = await last.usage(link);
        expect(used).toBeGreaterThanOrEqual(load.served(link));
        // what is left is left, and no more
        const left = 60 - used;
        const outcomes = await Promise.all(
          Array.from({ length: left + 2 }, (_, i) => last.outcome(link, `last-${i}`)),
        );
        expect(tally(outcomes)).toEqual({
          ...(left > 0 && { '200': left }),
          '410 LINK_USED_UP': 2,
        });
      }
    },
    60_000,
  );

  const away = servers.find(({ store }) => store === AWAY[adapter])!;
  it.skipIf(!away.available)(
    `${away.store} away and back under load: 503 meanwhile where it is needed, and none too many`,
    async () => {
      const { server, description: store } = await away.start();
      const nodes = await Promise.all([
        ServerProcess.start(adapter, store, '500ms'),
        ServerProcess.start(adapter, store, '500ms'),
      ]);
      const limited = await mintSeveral(nodes[0], 2, { maxDownloads: 60 });
      const plenty = await nodes[0].mint({ maxDownloads: 100_000 });
      const revocable = await nodes[0].mint({ revocable: true });
      const unlimited = await nodes[0].mint({});
      const needing = new Load(nodes, [...limited, plenty, revocable], 'needing');
      const carefree = new Load(nodes, [unlimited], 'carefree');
      try {
        for (const signal of [undefined, 'SIGINT'] as const) {
          await needing.until('200', 20);
          await server.stop(signal);
          for (const link of [plenty, revocable]) {
            await needing.until('503 STORE_UNAVAILABLE', 4, link);
          }
          await carefree.until('200', 20);
          await server.run();
          for (const link of [plenty, revocable]) {
            await needing.until('200', 10, link);
          }
        }
        for (const link of limited) {
          await needing.until('410 LINK_USED_UP', 4, link);
        }
      } finally {
        await Promise.all([needing.end(), carefree.end()]);
      }
      expect(tally(carefree.outcomes.map(({ outcome }) => outcome))).toEqual({
        '200': carefree.outcomes.length,
      });
      const outcomes = new Set(needing.outcomes.map(({ outcome }) => outcome));
      expect(outcomes).toEqual(new Set(['200', '503 STORE_UNAVAILABLE', '410 LINK_USED_UP']));
      for (const link of limited) {
        expect(needing.served(link)).toBeLessThanOrEqual(60);
        expect((await nodes[1].usage(link)).used).toBe(60);
      }
      expect((await nodes[1].usage(plenty)).used).toBeGreaterThanOrEqual(needing.served(plenty));
      expect(
        needing.count(({ link, outcome }) => link.id === revocable.id && outcome.startsWith('410')),
      ).toBe(0);
    },
    60_000,
  );
});

async function mintSeveral(
  node: ServerProcess,
  count: number,
  options: CreateLinkOptions,
): Promise<MintedLink[]> {
  const links = [];
  for (let i = 0; i < count; i++) {
    links.push(await node.mint(options));
  }
  return links;
}
