import { describe, expect, it } from 'vitest';
import { MemoryLeaseStore } from '../../lib/index.js';
import { pattern } from '../support/files.js';
import { ADAPTERS } from '../support/test-app.js';
import { HeldContent } from './support/contents.js';
import { startLimitedApp } from '../support/limited-app.js';
import { FollowModule } from '../support/link-messages.js';
import { connect } from '../support/raw-connection.js';

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

describe.each(ADAPTERS)('an application that closes while a page follows a link, on %s', (adapter) => {
  it('ends although the page asks again on the connection that it has', async () => {
    const held = new HeldContent(pattern(200_000));
    const app = await startLimitedApp(adapter, {
      options: { shutdownTimeout: 0.3 },
      imports: [FollowModule],
      contents: { held: () => held.download() },
      nest: { forceCloseConnections: false },
      fastify: { forceCloseConnections: 'idle' },
    });
    const link = app.link('held');
    const running = await app.start(link);
    await running.until(held.half);
    const question = `GET /links/${link.id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const page = await connect(app.port, question);
    page.on('error', () => undefined);
    await new Promise((resolve) => page.once('data', resolve));
    page.on('data', (chunk) => {
      // As an EventSource does when its stream has ended
      if (chunk.toString().endsWith('0\r\n\r\n')) {
        setTimeout(() => page.write(question), 50);
      }
    });
    await app.close();
    expect((await running.ended).broken).toBe(true);
    page.destroy();
  });
});
