import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DownloadAuthConfigurationError, DownloadLinks } from '../../lib/index.js';
import type { DownloadAuthOptions } from '../../lib/index.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { forge, inAnHour, keys, pem } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import type { Answer } from '../support/http-client.js';

const OTHER = 'another secret for tests that is long enough to be one';
const LONG = 'x'.repeat(64);
const { rsa, p256, p384 } = keys;
const PSS = { modulusLength: 2048, hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 32 };
// The overload is missing from the types of Node 20
const rsaPss = generateKeyPairSync('rsa-pss' as 'rsa', PSS);
const weakRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;

function token(
  header: { alg: string; kid?: string; typ?: string },
  key: Parameters<typeof forge>[2],
): string {
  return forge(header, { sub: 'ada', exp: inAnHour() }, key);
}

describe.each(ADAPTERS)('keys on %s', (adapter) => {
  let app: TestApp;
  let clock: TestClock;
  beforeEach(() => {
    clock = testClock();
  });
  afterEach(() => app.close());

  async function start(options: DownloadAuthOptions): Promise<void> {
    app = await startApp({
      adapter,
      controllers: [HelloController],
      options: { clock, ...options },
    });
  }
  const present = (token: string): Promise<Answer> => app.request('/files/42', { headers: bearer(token) });

  describe.each<[string, DownloadAuthOptions, string, string]>([
    ['a secret as text', { secret: SECRET }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
    ['a secret as bytes', { secret: Buffer.from(SECRET) }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
    ['a secret KeyObject', { secret: createSecretKey(Buffer.from(SECRET)) }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
    ['a secret for HS512', { secret: LONG, algorithms: ['HS512'] }, token({ alg: 'HS512' }, LONG), token({ alg: 'HS256' }, LONG)],
    ['a secret for two algorithms', { secret: LONG, algorithms: ['HS256', 'HS384'] }, token({ alg: 'HS384' }, LONG), token({ alg: 'HS512' }, LONG)],
    ['a secret of letters beyond Latin-1', { secret: 'ключ'.repeat(8) }, token({ alg: 'HS256' }, 'ключ'.repeat(8)), token({ alg: 'HS256' }, '????'.repeat(8))],
    ['an RSA public key', { publicKey: pem(rsa.publicKey) }, token({ alg: 'RS256' }, rsa.privateKey), token({ alg: 'RS384' }, rsa.privateKey)],
    ['an RSA public KeyObject', { publicKey: rsa.publicKey }, token({ alg: 'RS256' }, rsa.privateKey), token({ alg: 'RS256' }, keys.otherRsa.privateKey)],
    ['an RSA public key for PS384', { publicKey: rsa.publicKey, algorithms: ['PS384'] }, token({ alg: 'PS384' }, rsa.privateKey), token({ alg: 'RS256' }, rsa.privateKey)],
    ['an RSA-PSS public key', { publicKey: rsaPss.publicKey }, token({ alg: 'PS256' }, rsaPss.privateKey), token({ alg: 'PS256' }, rsa.privateKey)],
    ['an RSA private key alone', { privateKey: rsa.privateKey }, token({ alg: 'RS256' }, rsa.privateKey), token({ alg: 'HS256' }, pem(rsa.publicKey))],
    ['an RSA pair', { privateKey: rsa.privateKey, publicKey: rsa.publicKey }, token({ alg: 'RS256' }, rsa.privateKey), token({ alg: 'RS256' }, keys.otherRsa.privateKey)],
    ['a P-256 public key', { publicKey: pem(p256.publicKey) }, token({ alg: 'ES256' }, p256.privateKey), token({ alg: 'ES256' }, keys.otherP256.privateKey)],
    ['a P-384 private key', { privateKey: p384.privateKey }, token({ alg: 'ES384' }, p384.privateKey), token({ alg: 'ES256' }, p256.privateKey)],
    ['a resolver with a secret', { secretOrKeyProvider: (_r, _t, done) => done(null, SECRET), algorithms: ['HS256'] }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
    ['a resolver with a secret as bytes', { secretOrKeyProvider: (_r, _t, done) => done(null, Buffer.from(SECRET)), algorithms: ['HS256'] }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS384' }, SECRET)],
    ['a resolver with a PEM', { secretOrKeyProvider: (_r, _t, done) => done(null, pem(rsa.publicKey)), algorithms: ['RS256', 'HS256'] }, token({ alg: 'RS256' }, rsa.privateKey), token({ alg: 'HS256' }, pem(rsa.publicKey))],
    ['a resolver with a KeyObject', { secretOrKeyProvider: (_r, _t, done) => done(null, p256.publicKey), algorithms: ['RS256', 'ES256'] }, token({ alg: 'ES256' }, p256.privateKey), token({ alg: 'RS256' }, rsa.privateKey)],
    ['a resolver that answers with its secret', { secretOrKeyProvider: () => Promise.resolve(SECRET), algorithms: ['HS256'] }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
    ['a resolver that promises nothing, and calls back', { secretOrKeyProvider: async (_r, _t, done) => { await Promise.resolve(); setImmediate(() => done(null, SECRET)); }, algorithms: ['HS256'] }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
    ['a resolver that takes its time', { secretOrKeyProvider: (_r, _t, done) => setImmediate(() => done(null, SECRET)), algorithms: ['HS256'] }, token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, OTHER)],
  ])('%s', (_name, options, good, bad) => {
    it('verifies what it signed, and nothing else', async () => {
      await start(options);
      expect((await present(good)).json).toMatchObject({ grant: { kind: 'access', subject: 'ada' } });
      expectRefusal(await present(bad), 401, 'TOKEN_INVALID', bad);
    });
  }); // prettier-ignore

  describe('a resolver', () => {
    it('is told the request and the token', async () => {
      const told: unknown[] = [];
      await start({
        algorithms: ['HS256'],
        secretOrKeyProvider: (request, rawJwtToken, done) => {
          told.push(request.headers.authorization, rawJwtToken);
          done(null, SECRET);
        },
      });
      const good = token({ alg: 'HS256' }, SECRET);
      await present(good);
      expect(told).toEqual([`Bearer ${good}`, good]);
    });

    it.each<[string, NonNullable<DownloadAuthOptions['secretOrKeyProvider']>]>([
      ['says that it failed', (_r, _t, done) => done(new Error('no connection'))],
      ['says so later', (_r, _t, done) => setImmediate(() => done(new Error('no connection')))],
      ['says so with a text', (_r, _t, done) => done('no connection')],
      ['throws', () => { throw new Error('no connection'); }],
      ['rejects', (() => Promise.reject(new Error('no connection'))) as never],
      ['gives a secret that is too short', (_r, _t, done) => done(null, 'short')],
      ['gives an RSA key that is too short', (_r, _t, done) => done(null, weakRsa)],
      ['gives something that is no key', (_r, _t, done) => done(null, '-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----')],
    ])('that %s is our trouble, not the caller’s', async (_name, secretOrKeyProvider) => {
      await start({ secretOrKeyProvider, algorithms: ['HS256', 'RS256'] });
      const good = token({ alg: 'HS256' }, SECRET);
      expectRefusal(await present(good), 503, 'KEY_UNAVAILABLE', good);
    }); // prettier-ignore

    it.each<[string, NonNullable<DownloadAuthOptions['secretOrKeyProvider']>]>([
      ['finds no key', (_r, _t, done) => done(null)],
      ['finds null', (_r, _t, done) => done(null, null as never)],
      ['finds an empty text', (_r, _t, done) => done(null, '')],
      ['finds empty bytes', (_r, _t, done) => done(null, Buffer.alloc(0))],
      ['says that there is no such key', (_r, _t, done) => done(Object.assign(new Error(), { name: 'SigningKeyNotFoundError' }))],
    ])('that %s refuses the token, even one signed with nothing', async (_name, secretOrKeyProvider) => {
      await start({ secretOrKeyProvider, algorithms: ['HS256', 'RS256'] });
      for (const forged of [token({ alg: 'HS256' }, SECRET), token({ alg: 'HS256' }, '')]) {
        expectRefusal(await present(forged), 401, 'TOKEN_INVALID', forged);
      }
    }); // prettier-ignore

    it('may give the bytes of one key in base64 as the text of another', async () => {
      const [bytes, text] = [Buffer.from(SECRET), Buffer.from(SECRET).toString('base64')];
      await start({
        algorithms: ['HS256'],
        secretOrKeyProvider: ({ headers }, _token, done) =>
          done(null, headers['x-tenant'] === 'one' ? bytes : text),
      });
      const tenant = (name: string, key: string | Buffer) =>
        app.request('/files/42', { headers: { 'x-tenant': name, ...bearer(token({ alg: 'HS256' }, key)) } });
      expect((await tenant('one', bytes)).status).toBe(200);
      expect((await tenant('two', text)).status).toBe(200);
      expect((await tenant('two', bytes)).status).toBe(401);
    });
  });

  describe('a key ring', () => {
    const ring = (): DownloadAuthOptions => ({
      keys: [
        { kid: 'new', secret: SECRET },
        { kid: 'rsa', publicKey: rsa.publicKey, retiredAt: new Date(clock() + 1000) },
        { secret: OTHER, retiredAt: new Date(clock() + 2000) },
      ],
    });

    it('chooses the key by kid, and the one without kid for tokens without', async () => {
      await start(ring());
      for (const good of [
        token({ alg: 'HS256', kid: 'new' }, SECRET),
        token({ alg: 'RS256', kid: 'rsa' }, rsa.privateKey),
        token({ alg: 'HS256' }, OTHER),
      ]) {
        expect((await present(good)).status).toBe(200);
      }
      for (const bad of [
        token({ alg: 'HS256', kid: 'new' }, OTHER),
        token({ alg: 'HS256' }, SECRET),
        token({ alg: 'HS256', kid: 'newer' }, SECRET),
        token({ alg: 'HS256', kid: 'undefined' }, OTHER),
        token({ alg: 'RS256', kid: 'new' }, rsa.privateKey),
        token({ alg: 'HS256', kid: 'rsa' }, pem(rsa.publicKey)),
      ]) {
        expectRefusal(await present(bad), 401, 'TOKEN_INVALID', bad);
      }
    });

    it('does without a key from the moment on at which it is retired', async () => {
      await start(ring());
      const signed = token({ alg: 'RS256', kid: 'rsa' }, rsa.privateKey);
      expect((await present(signed)).status).toBe(200);
      clock.advance(999);
      expect((await present(signed)).status).toBe(200);
      clock.advance(1);
      expectRefusal(await present(signed), 401, 'TOKEN_INVALID', signed);
      expect((await present(token({ alg: 'HS256' }, OTHER))).status).toBe(200);
      clock.advance(1000);
      expectRefusal(await present(token({ alg: 'HS256' }, OTHER)), 401, 'TOKEN_INVALID');
    });

    it('opens links that a key signed which is not retired, and none of a retired one', async () => {
      await start({ keys: [{ kid: 'old', secret: OTHER }, { kid: 'new', secret: SECRET }] });
      const { url } = app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } });
      await app.close();
      await start({
        keys: [{ kid: 'new', secret: SECRET }, { kid: 'old', secret: OTHER, retiredAt: new Date(clock() + 1000) }],
      });
      expect((await app.request(url)).status).toBe(200);
      clock.advance(1000);
      expectRefusal(await app.request(url), 403, 'LINK_INVALID', url.split('=')[1]);
    }); // prettier-ignore

    it.each([
      [
        'first',
        (retiredAt: Date) => [
          { kid: '2026', secret: SECRET },
          { secret: SECRET, retiredAt },
        ],
      ],
      [
        'last',
        (retiredAt: Date) => [
          { secret: SECRET, retiredAt },
          { kid: '2026', secret: SECRET },
        ],
      ],
      [
        'twice, in bytes too',
        (retiredAt: Date) => [
          { secret: Buffer.from(SECRET), retiredAt },
          { kid: '2026', secret: SECRET },
          { kid: '2025', secret: SECRET, retiredAt },
        ],
      ],
    ])(
      'may have one secret with and without kid, the one that stays %s: its links outlive the other',
      async (_name, keys) => {
        await start({ keys: keys(new Date(clock() + 1000)) });
        const links = app.get(DownloadLinks);
        const mint = () => links.create(HelloController, 'get', { params: { id: 'a' } }).url;
        const early = mint();
        const [named, nameless] = [
          token({ alg: 'HS256', kid: '2026' }, SECRET),
          token({ alg: 'HS256' }, SECRET),
        ];
        expect((await present(nameless)).status).toBe(200);
        clock.advance(1000);
        expect((await app.request(early)).status).toBe(200);
        expect((await app.request(mint())).status).toBe(200);
        expect((await present(named)).status).toBe(200);
        expectRefusal(await present(nameless), 401, 'TOKEN_INVALID', nameless);
      },
    );

    it('whose two entries of one secret are both retired opens its links until the later one is', async () => {
      const [soon, later] = [new Date(clock() + 1000), new Date(clock() + 2000)];
      await start({
        keys: [
          { kid: 'b', secret: OTHER },
          { secret: SECRET, retiredAt: later },
          { kid: 'a', secret: SECRET, retiredAt: soon },
        ],
      });
      const other = await startApp({
        adapter,
        controllers: [HelloController],
        options: { secret: SECRET, clock },
      });
      const { url } = other.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } });
      await other.close();
      clock.advance(1000);
      expect((await app.request(url)).status).toBe(200);
      clock.advance(1000);
      expectRefusal(await app.request(url), 403, 'LINK_INVALID');
    });

    it('signs links with its first key that is not retired', async () => {
      await start({
        keys: [{ kid: 'old', secret: OTHER, retiredAt: new Date(clock() + 1000) }, { kid: 'new', secret: SECRET }],
      });
      const links = app.get(DownloadLinks);
      clock.advance(1000);
      expect((await app.request(links.create(HelloController, 'get', { params: { id: 'a' } }).url)).status).toBe(200);
    }); // prettier-ignore
  });

  it('a public key alone mints no link, and says what to write', async () => {
    await start({ publicKey: rsa.publicKey });
    const mint = () => app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } });
    expect(mint).toThrow(DownloadAuthConfigurationError);
    expect(mint).toThrow(/links: \{ secret:/);
    const forged = token({ alg: 'HS256', typ: 'dl+jwt' }, '');
    expectRefusal(await present(forged), 403, 'LINK_INVALID', forged);
  });

  it('a public key with links.secret mints links that work', async () => {
    await start({ publicKey: rsa.publicKey, links: { secret: OTHER } });
    const { url } = app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } });
    expect((await app.request(url)).json.grant.kind).toBe('link');
  });

  it('links.secret rotates: the newest signs, all of them verify, one that is gone does not', async () => {
    const rotated = async (secret: NonNullable<DownloadAuthOptions['links']>['secret']): Promise<string> => {
      await app?.close();
      await start({ secret: SECRET, links: { secret } });
      return app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } }).url;
    };
    const [older, newer] = [OTHER, Buffer.from(LONG)];
    const old = await rotated(older);
    const fresh = await rotated([newer, older]);
    expect((await app.request(old)).status).toBe(200);
    expect((await app.request(fresh)).status).toBe(200);
    await rotated([newer]);
    expect((await app.request(fresh)).status).toBe(200);
    expectRefusal(await app.request(old), 403, 'LINK_INVALID');
    await rotated(older);
    expectRefusal(await app.request(fresh), 403, 'LINK_INVALID');
  });
});
