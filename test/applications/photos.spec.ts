import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadEvents, DownloadLinks } from '../../lib/index.js';
import type { DownloadEvent } from '../../lib/index.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { LibraryModule } from './photos/library.module.js';
import { badLinks, letIn } from './support/attacks.js';
import { MORE_THAN_SOCKETS_HOLD, RIGHTS } from './support/delivery.js';
import { post, statusOf } from './support/requests.js';

const BYTES = pattern(MORE_THAN_SOCKETS_HOLD);
const NAME = 'Плавание 🏊; 100%.jpg';

const folder = temporaryFolder();
folder.file('1', BYTES);
folder.file('2', 'of grace');
afterAll(() => folder.remove());

const PHOTOS = {
  swimming: { owner: 'ada', album: 'holidays', file: '1', name: NAME },
  lost: { owner: 'ada', album: 'holidays', file: '3', name: NAME },
  desk: { owner: 'grace', album: 'office', file: '2', name: 'desk.jpg' },
};
const ADA = { 'x-api-key': 'key-of-ada' };
const GRACE = { 'x-api-key': 'key-of-grace' };
const SESSION = { cookie: 'photos_session=session-of-ada' };

describe.each(ADAPTERS)('a photo library with API keys, sessions and share keys on %s', (adapter) => {
  let app: TestApp;
  const events: DownloadEvent[] = [];
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [], imports: [LibraryModule.with(folder.path, PHOTOS)] });
    app.get(DownloadEvents).subscribe((event) => void events.push(event));
  });
  afterAll(() => app.close());

  async function link(id: string, headers: Record<string, string>): Promise<{ url: string; token: string }> {
    const answer = await post(app, `/photos/${id}/links`, {}, headers);
    expect(answer.status).toBe(201);
    return answer.json;
  }

  it.each(RIGHTS)('%s', (_right, check) =>
    check({
      app,
      path: '/photos/swimming',
      headers: ADA,
      bytes: BYTES,
      name: NAME,
      lost: '/photos/lost',
      folder: folder.path,
    }),
  );

  it.each([
    ['nothing', '', {}, 401],
    ['an API key', '', ADA, 200],
    ['a session', '', SESSION, 200],
    ['the key of its album', '?key=key-of-holidays', {}, 200],
    ['the key of no album', '?key=guessed', {}, 401],
    ["somebody else's API key", '', GRACE, 403],
  ])('with %s', async (_what, query, headers, status) => {
    expect(await statusOf(app, `/photos/swimming${query}`, headers)).toBe(status);
  });

  it('a link opens without any of them, and beside any of them', async () => {
    const { url } = await link('swimming', ADA);
    for (const headers of [{}, GRACE, SESSION, { authorization: 'Basic bm8=' }]) {
      expect(await statusOf(app, url, headers)).toBe(200);
    }
  });

  it('no bad link gets the photo, nor does a good one where a key belongs', async () => {
    const { token } = await link('swimming', ADA);
    const { token: other } = await link('desk', GRACE);
    const misplaced = [
      ['as an API key', '/photos/swimming', { headers: { 'x-api-key': token } }],
      ['as a session', '/photos/swimming', { headers: { cookie: `photos_session=${token}` } }],
      ['as the key of an album', `/photos/swimming?key=${token}`, {}],
      ['to make further links', `/photos/swimming/links?ss-tok=${token}`, { method: 'POST' }],
    ] as const;
    expect(await letIn(app, [...badLinks('/photos/swimming', token, other), ...misplaced])).toEqual([]);
  });

  it('a bad link is refused to the owner, too', async () => {
    const { token } = await link('desk', GRACE);
    const answer = await app.request(`/photos/swimming?ss-tok=${token}`, { headers: ADA });
    expectRefusal(answer, 403, 'LINK_SCOPE', token);
  });

  it('events tell who downloaded, and how', async () => {
    events.length = 0;
    await app.request('/photos/desk', { headers: GRACE });
    await app.request((await link('desk', GRACE)).url);
    const completed = events.filter(({ type }) => type === 'completed');
    expect(completed).toMatchObject([{ subject: 'grace' }, { subject: 'grace', linkId: expect.any(String) }]);
  });

  it('whoever leaves has no links any more', async () => {
    const { url } = await link('desk', GRACE);
    await app.get(DownloadLinks).revoke({ subject: 'grace' });
    expect(await statusOf(app, url)).toBe(410);
    expect(await statusOf(app, '/photos/desk', GRACE)).toBe(200);
  });
});
