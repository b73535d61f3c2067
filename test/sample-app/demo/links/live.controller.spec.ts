import { expect, it } from 'vitest';
import { describeSample, REPORT, temporaryFolder } from '../../support/sample.js';

const folder = temporaryFolder({ 'report.pdf': REPORT });

describeSample(folder, (sample) => {
  it('records what happened to a link', async () => {
    const { id, url } = await sample.mint({ maxDownloads: 1 });
    await sample.request(url);
    await sample.request(url, { headers: { 'user-agent': 'somebody else' } });
    await expect
      .poll(async () => (await sample.link(id)).happenings.map(({ type }: any) => type))
      .toEqual(['opened', 'completed', 'refused']);
    const { happenings, progress } = await sample.link(id);
    expect(happenings[2]).toMatchObject({ code: 'LINK_USED_UP', status: 410 });
    expect(progress).toEqual({
      bytes: REPORT.length,
      length: REPORT.length,
      running: false,
      complete: true,
      downloads: 0,
    });
  });

  it("tells as it happens what happens to the caller's links, and nothing about others", async () => {
    const before = await sample.mint();
    const live = await sample.follow();
    await live.until(({ id }) => id === before.id);
    await sample.mint({}, sample.grace);
    const link = await sample.mint({ maxDownloads: 1, bytesPerSecond: 150_000 });
    const upTo = (isIt: (about: any) => unknown) =>
      live.until((about) => about.id === link.id && isIt(about));
    await upTo(() => true);
    await sample.request(link.url);
    const running = await upTo(({ progress }) => progress?.running);
    expect(running).toMatchObject({ used: 1, maxDownloads: 1 });
    await upTo(({ progress }) => progress?.bytes > 0 && progress.bytes < REPORT.length);
    await upTo(({ progress }) => progress?.complete);
    await sample.revoke(link.id);
    await upTo(({ state }) => state === 'revoked');
    const own = new Set((await sample.links()).map(({ id }) => id));
    expect(live.seen.filter(({ id }) => !own.has(id))).toEqual([]);
    live.close();
  });
});
