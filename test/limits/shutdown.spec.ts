import { describe, expect, it } from 'vitest';
import { MemoryLeaseStore } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';

/** A store that another node goes on with, and whose connection this node closes when it ends. */
class SharedStore extends MemoryLeaseStore {
  closed = false;

  override commit(...[commit]: Parameters<MemoryLeaseStore['commit']>) {
    return this.closed ? Promise.reject(new Error('The store is closed.')) : super.commit(commit);
  }

  override close(): Promise<void> {
    this.closed = true;
    return super.close();
  }
}

describe.each(ADAPTERS)('an application that closes while a limited link is downloaded, on %s', (adapter) => {
  it('tells the store and the subscribers how the download ended before it closes the store', async () => {
    const held = new HeldContent(pattern(200_000));
    const store = new SharedStore();
    const app = await startLimitedApp(adapter, {
      options: { leases: { store } },
      contents: { held: () => held.download() },
    });
    const link = app.link('held', { maxDownloads: 1 });
    const running = await app.start(link);
    await running.until(held.half);
    await app.close();
    expect((await running.ended).broken).toBe(true);
    const { records } = await store.read({ now: 0, linkId: link.id, records: 'all', revocations: [] });
    const leases = records.flatMap(({ value }) => (Array.isArray(value) ? (value as object[]) : []));
    expect(leases).toMatchObject([{ covered: [0, held.half] }]);
    expect(leases[0]).not.toHaveProperty('running', expect.anything());
    expect(app.events.map(({ type }) => type)).toEqual(['minted', 'opened', 'aborted']);
  });
});
