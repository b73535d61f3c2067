import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks } from '../../lib/index.js';
import type { RefusalCode } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { forge, inAnHour } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const ada = accessToken();
const eve = accessToken({ sub: 'eve' });
const expired = accessToken({ exp: 1 });
const forged = forge({ alg: 'HS256' }, { sub: 'ada', exp: inAnHour() }, `not ${SECRET}`);
const NOBODY = {};
const cookie = (token: string) => ({ cookie: `ss-tok=${token}` });

describe.each(ADAPTERS)('a link for one person who is signed in besides, on %s', (adapter) => {
  let app: TestApp;
  const mint = (bindTo?: { signedIn: boolean }) =>
    app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' }, subject: 'ada', bindTo });
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [HelloController] });
  });
  afterAll(() => app.close());

  it.each([
    ['header', bearer(ada)],
    ['cookie', cookie(ada)],
  ])('opens for that person, in the %s', async (_way, headers) => {
    const answer = await app.request(mint({ signedIn: true }).url, { headers });
    expect(answer.json).toMatchObject({ grant: { kind: 'link', subject: 'ada' }, user: { sub: 'ada' } });
  });

  it.each<[string, Record<string, string>]>([
    ['nobody', NOBODY],
    ['someone else', bearer(eve)],
    ['someone else in the cookie', cookie(eve)],
    ['an expired token', bearer(expired)],
    ['a forged token', bearer(forged)],
    ['no token at all', bearer('x')],
    ['someone else, while the right one is in the cookie', { ...bearer(eve), ...cookie(ada) }],
    ['a forged token, while the right one is in the cookie', { ...bearer(forged), ...cookie(ada) }],
  ])('does not open for %s', async (_name, headers) => {
    const { url, token } = mint({ signedIn: true });
    expectRefusal(await app.request(url, { headers }), 403, 'LINK_SUBJECT', token);
  });

  it('opens for that person in spite of a header that holds no token', async () => {
    const { url } = mint({ signedIn: true });
    const headers = { authorization: 'Bearer undefined', ...cookie(ada) };
    expect((await app.request(url, { headers })).json).toMatchObject({ user: { sub: 'ada' } });
  });

  it('does not open for two cookies of two people, and says how to get out of it', async () => {
    const { url, token } = mint({ signedIn: true });
    const answer = await app.request(url, { headers: { cookie: `ss-tok=${eve}; ss-tok=${ada}` } });
    expectRefusal(answer, 400, 'TOKEN_AMBIGUOUS', token);
    expect(answer.json.message).toMatch(/Delete the cookies of this site/);
  });

  it('does not vouch for itself in the header', async () => {
    const { url, token } = mint({ signedIn: true });
    expectRefusal(await app.request(url, { headers: bearer(token) }), 403, 'LINK_SUBJECT', token);
    expectRefusal(await app.request('/files/a', { headers: bearer(token) }), 403, 'LINK_SUBJECT', token);
  });

  it('does not vouch for another one', async () => {
    const { url, token } = mint({ signedIn: true });
    const other = mint({ signedIn: true });
    expectRefusal(await app.request(url, { headers: bearer(other.token) }), 403, 'LINK_SUBJECT', token);
    expectRefusal(await app.request(url, { headers: cookie(other.token) }), 403, 'LINK_SUBJECT', token);
  });

  it.each<[string, () => string, number, RefusalCode]>([
    ['a link that only says so', () => forge({ alg: 'HS256', typ: 'dl+jwt' }, { exp: inAnHour(), sub: 'ada', bnd: { sub: true } }, SECRET), 400, 'TOKEN_AMBIGUOUS'],
    ['a link that says so in a list', () => forge({ alg: 'HS256', typ: 'dl+jwt' }, { exp: inAnHour(), bnd: [] }, SECRET), 400, 'TOKEN_AMBIGUOUS'],
    ['a link whose claim is null', () => forge({ alg: 'HS256', typ: 'dl+jwt' }, { exp: inAnHour(), bnd: null }, SECRET), 400, 'TOKEN_AMBIGUOUS'],
    ['an access token that says so', () => forge({ alg: 'HS256' }, { exp: inAnHour(), sub: 'ada', bnd: { sub: true } }, SECRET), 400, 'TOKEN_AMBIGUOUS'],
  ])('a good header does not help %s in the query', async (_name, token, status, code) => {
    const query = token();
    expectRefusal(await app.request(`/files/a?ss-tok=${query}`, { headers: bearer(ada) }), status, code, query);
  }); // prettier-ignore
});
