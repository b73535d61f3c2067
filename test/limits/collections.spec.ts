import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LinkRevocation } from '../../lib/index.js';
import { MemoryLeaseStore } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import type { Answer } from '../support/http-client.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { ADAPTERS } from '../support/test-app.js';
import { HeldContent } from './support/contents.js';

const BYTES = pattern(200_000);

/** One store for two nodes, which its first user opens and its last one closes. */
class SharedStore extends MemoryLeaseStore {
  private users = 0;

  override async open(...given: Parameters<MemoryLeaseStore['open']>): Promise<void> {
    if (this.users++ === 0) {
      await super.open(...given);
    }
  }

  override async close(): Promise<void> {
    if (--this.users === 0) {
      await super.close();
    }
  }
}

describe.each(ADAPTERS)('revoking a collection that is being downloaded on two nodes, on %s', (adapter) => {
  let nodes: LimitedApp[];
  let held: HeldContent;
  beforeEach(async () => {
    const store = new SharedStore();
    held = new HeldContent(BYTES);
    const contents = { held: () => held.download(), other: () => held.download() };
    nodes = [];
    for (let node = 0; node < 2; node++) {
      nodes.push(
        await startLimitedApp(adapter, { options: { leases: { store, resumeWithin: '1h' } }, contents }),
      );
    }
  });
  afterEach(async () => {
    held.release();
    await Promise.all(nodes.map((node) => node.close()));
  });

  const mint = () => nodes[0]!.link('held', { free: ['name'], subject: 'ada' });
  const companion = ({ headers }: Answer) => ({ cookie: headers['set-cookie']?.[0]?.split(';', 1)[0] });

  it.each<[string, (id: string) => LinkRevocation]>([
    ['its id', (id) => ({ link: id })],
    ['its subject', () => ({ subject: 'ada' })],
    ['what is downloaded', () => ({ resource: nodes[0]!.resource('held') })],
  ])('by %s cuts it, by token and by cookie, and refuses the next request on both', async (_name, of) => {
    const link = mint();
    const [byToken] = await Promise.all([nodes[0]!.start(link)]);
    const headers = companion(byToken);
    const byCookie = await nodes[1]!.start('/files/held', { headers });
    await Promise.all([byToken.until(held.half), byCookie.until(held.half)]);
    await nodes[0]!.links.revoke(of(link.id));
    for (const running of [byToken, byCookie]) {
      await running.ended;
      expect([running.broken, running.received]).toEqual([true, held.half]);
    }
    for (const node of nodes) {
      const answer = await node.fetch('/files/held', { headers });
      expect([answer.status, answer.code]).toEqual([410, 'LINK_REVOKED']);
    }
  });

  it('by one file leaves the others running', async () => {
    const link = mint();
    const first = await nodes[0]!.start(link);
    const other = await nodes[1]!.start('/files/other', { headers: companion(first) });
    await Promise.all([first.until(held.half), other.until(held.half)]);
    await nodes[1]!.links.revoke({ resource: nodes[1]!.resource('held') });
    await first.ended;
    held.release();
    expect([first.broken, (await other.ended).body.equals(BYTES)]).toEqual([true, true]);
  });

  it('counts no download, whatever the module says of resumes', async () => {
    held.release();
    const link = mint();
    const answer = await nodes[0]!.fetch(link);
    expect(answer.cookie).toBeUndefined();
    expect((await nodes[0]!.links.usage(link.id)).used).toBe(0);
  });
});
