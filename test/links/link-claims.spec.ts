import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks } from '../../lib/index.js';
import type { CreateLinkOptions } from '../../lib/index.js';
import { createLinkKeys } from '../../lib/links/link-tokens.js';
import { parseCompactJws } from '../../lib/tokens/compact-jws.js';
import { forge } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const [linkKey] = createLinkKeys({ secret: SECRET });

describe.each(ADAPTERS)('a token signed with the key of links on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [HelloController] });
  });
  afterAll(() => app.close());

  /** A genuine link with other claims or another header, and its signature made anew. */
  function reforged(claims: object, header: object = {}): string {
    const { token } = app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } });
    const genuine = parseCompactJws(token)!;
    return forge({ ...genuine.header, ...header }, { ...genuine.claims, ...claims }, linkKey!.key);
  }
  const open = (token: string) => app.request(`/files/a?ss-tok=${token}`);

  it('opens what a link opens', async () => {
    expect((await open(reforged({}))).status).toBe(200);
    expect((await open(reforged({}, { typ: 'application/dl+jwt' }))).status).toBe(200);
  });

  it.each<[string, object]>([
    ['for another audience', { aud: 'urn:somebody:else' }],
    ['for several audiences', { aud: ['urn:nestjs-download-auth:link', 'urn:somebody:else'] }],
    ['for none', { aud: undefined }],
    ['without an id', { jti: undefined }],
    ['with an id that is no text', { jti: 42 }],
    ['without the moment of its issue', { iat: undefined }],
    ['without an end', { exp: undefined }],
    ['with an end that is a text', { exp: '9999999999' }],
    ['with a beginning that is a text', { nbf: '0' }],
    ['without a resource', { res: undefined }],
    ['with a subject that is no text', { sub: 42 }],
  ])('is no link %s', async (_name, claims) => {
    const token = reforged(claims);
    expectRefusal(await open(token), 403, 'LINK_INVALID', token);
  });

  it('is not an access token even if it says so', async () => {
    const token = reforged({ sub: 'ada' }, { typ: 'JWT' });
    expectRefusal(await open(token), 401, 'TOKEN_INVALID', token);
  });

  it.each<[CreateLinkOptions, object]>([
    [{ subject: 'ada', filename: 'a.pdf', disposition: 'inline' }, { sub: 'ada', fn: 'a.pdf', dsp: 'inline' }],
    [{ maxDownloads: 2, strict: false, resumeWithin: '1h', byteBudget: 10, revocable: true }, { lim: { max: 2, strict: false, resume: 3600, bytes: 10, rev: true } }],
    [{ subject: 'ada', bindTo: { signedIn: true, addresses: '192.0.2.7' } }, { sub: 'ada', bnd: { sub: true, net: ['192.0.2.7/32'] } }],
    [{ bindTo: { addresses: ['192.0.2.0/24', '2001:db8::/32'] } }, { bnd: { net: ['192.0.2.0/24', '2001:db8::/32'] } }],
    [{ bindTo: { signedIn: false, addresses: [] } }, {}],
    [{ revocable: false }, {}],
  ])('is made of the options %o', (options, expected) => {
    const links = app.get(DownloadLinks);
    const { token } = links.create(HelloController, 'get', { params: { id: 'a' }, ...options });
    const { aud, jti, iat, exp, res, ...claims } = parseCompactJws(token)!.claims as Record<string, unknown>;
    expect(claims).toEqual(expected);
    expect([aud, jti, iat, exp, res]).not.toContain(undefined);
  }); // prettier-ignore

  it.each<[object, RegExp]>([
    [{ bindTo: { signedIn: true } }, /bindTo\.signedIn: say whom the link is for/],
    [{ bindTo: { addresses: 'localhost' } }, /bindTo\.addresses: .*192\.0\.2\.0\/24/],
    [{ bindTo: { addresses: ['192.0.2.0/24', 42] } }, /bindTo\.addresses: /],
    [{ resumeWithin: '25h' }, /resumeWithin: .*24 hours/],
    [{ byteBudget: 0 }, /byteBudget: write a whole number/],
    [{ params: 'a' }, /params: give an object/],
    [{ maxDownloads: 1.5 }, /maxDownloads: write a whole number of at least 1, or leave it out/],
  ])('is not made of the options %o', (options, says) => {
    const links = app.get(DownloadLinks);
    const make = () => links.create(HelloController, 'get', { params: { id: 'a' }, ...options });
    expect(make).toThrow(says);
  });
});

it.each([[42], [null], [{}]])('the secret of links is not made of %o', (secret) => {
  expect(() => createLinkKeys({ links: { secret: secret as never } })).toThrow(
    /links\.secret: give a string/,
  );
});
