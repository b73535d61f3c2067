import { Controller, Get, Inject, Injectable, Module } from '@nestjs/common';
import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import {
  DownloadAuthConfigurationError,
  DownloadAuthModule,
  MemoryLeaseStore,
  StreamDownload,
} from '../lib/index.js';
import type { DownloadAuthOptions } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { forge, inAnHour, keys, pem } from './support/forge.js';
import { HelloController } from './support/hello.controller.js';
import { ADAPTERS, bearer, SECRET, startApp } from './support/test-app.js';
import type { TestApp } from './support/test-app.js';

const { rsa, p256 } = keys;
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
// The overload is missing from the types of Node 20
const hashless = generateKeyPairSync('rsa-pss' as 'rsa', { modulusLength: 2048 });
const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
const edwards = generateKeyPairSync('ed25519');
const encrypted = rsa.privateKey.export({
  format: 'pem',
  type: 'pkcs8',
  cipher: 'aes-256-cbc',
  passphrase: 'x',
});

let app: TestApp | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function start(options: unknown, adapter: (typeof ADAPTERS)[number] = 'express'): Promise<TestApp> {
  app = await startApp({ adapter, controllers: [HelloController], imports: [DownloadAuthModule.forRoot(options as DownloadAuthOptions)] });
  return app;
} // prettier-ignore

/** Bad options, and what the message must name: the option, and what to write. */
const BAD: readonly (readonly [name: string, options: unknown, ...says: RegExp[]])[] = [
  ['no options', undefined, /forRoot/, /secret/],
  ['options null', null, /forRoot/],
  ['options a text', SECRET, /forRoot/],
  ['refusals of another name', { secret: SECRET, refusals: 'pass' }, /refusals: write 'answer' or 'throw'/],
  ['a page for refusals that are thrown', { secret: SECRET, refusals: 'throw', refusalPage: () => '' }, /refusalPage.*Leave one/],
  ['no key', {}, /secret: process\.env/, /publicKey, keys or secretOrKeyProvider/],
  ['no key, where who may download could be said otherwise', {}, /auth: YourGuard, 'links', 'public' or false/],
  ['auth misspelt', { auth: 'link', secret: SECRET }, /auth: did you mean 'links'\? Write 'token', 'links', 'public' or false\. Or give a guard/],
  ['auth true', { auth: true, secret: SECRET }, /auth: write 'token'/],
  ['auth null', { auth: null, secret: SECRET }, /auth: write 'token'/],
  ['auth an object without canActivate', { auth: {}, secret: SECRET }, /auth: .*canActivate\(\)/],
  ['auth a function that is no class', { auth: () => true, secret: SECRET }, /auth: .*canActivate\(\)/],
  ['links alone without a secret', { auth: 'links' }, /HelloController\.get: auth: 'links'.*links: \{ secret: process\.env\.LINK_SECRET/],
  ['links alone with a public key', { auth: 'links', publicKey: pem(rsa.publicKey) }, /auth: 'links'/],
  ['a secret of links from a variable that is not set', { auth: 'public', links: { secret: undefined } }, /^links\.secret: it is undefined\. Set the variable.*nestjs-download-auth key\. To make no links/],
  ['algorithms without a key', { auth: 'public', algorithms: ['HS256'] }, /No key/],
  ['a hook for access tokens without a key', { auth: 'public', validate: () => true }, /No key/],
  ['subject a text', { secret: SECRET, subject: 'ada' }, /subject: give a function/],
  ['a secret from a variable that is not set', { secret: undefined }, /^secret: it is undefined\. Set the variable.*nestjs-download-auth key/],
  ['a secret null', { secret: null }, /secret: give a string/],
  ['an empty secret', { secret: '' }, /secret/, /at least 32 bytes/, /npx nestjs-download-auth key/],
  ['a secret of 31 bytes', { secret: 'x'.repeat(31) }, /this has 31/, /npx nestjs-download-auth key/],
  ['a short secret KeyObject', { secret: createSecretKey(Buffer.alloc(31)) }, /this has 31/],
  ['a secret of 32 bytes for HS512', { secret: 'x'.repeat(32), algorithms: ['HS512'] }, /HS512 needs at least 64/],
  ['a secret that is a number', { secret: 1234567890 }, /secret: give a string/],
  ['a secret that is a PEM', { secret: pem(rsa.publicKey) }, /Write publicKey/],
  ['a secret that is a PEM in bytes', { secret: Buffer.from(pem(rsa.publicKey)) }, /Write publicKey/],
  ['a secret that is a public KeyObject', { secret: rsa.publicKey }, /secret: give/],
  ['a secret for RS256', { secret: SECRET, algorithms: ['RS256'] }, /RS256/, /HS256.*publicKey/],
  ['a secret for none', { secret: SECRET, algorithms: ['none'] }, /none/],
  ['algorithms empty', { secret: SECRET, algorithms: [] }, /algorithms/],
  ['algorithms a text', { secret: SECRET, algorithms: 'HS256' }, /algorithms/, /\['HS256'\]/],
  ['algorithms a text, with a public key', { publicKey: rsa.publicKey, algorithms: 'RS256' }, /algorithms/, /\[/],
  ['algorithms a text, with a resolver', { secretOrKeyProvider: () => undefined, algorithms: 'RS256' }, /algorithms/, /\[/],
  ['an algorithm that is none, with a resolver', { secretOrKeyProvider: () => undefined, algorithms: ['none'] }, /algorithms/, /none/],
  ['an algorithm that is not supported, with a resolver', { secretOrKeyProvider: () => undefined, algorithms: ['EdDSA'] }, /algorithms/, /EdDSA/],
  ['a public key that is a secret', { publicKey: SECRET }, /publicKey/, /for a shared secret write secret/],
  ['a public key that is a secret KeyObject', { publicKey: createSecretKey(Buffer.alloc(32)) }, /publicKey/],
  ['a public key of too few bits', { publicKey: weak.publicKey }, /2048 bits/, /this has 1024/],
  ['an RSA-PSS key that names no hash', { publicKey: hashless.publicKey }, /must name one hash/, /hashAlgorithm/],
  ['a public key on another curve', { publicKey: koblitz.publicKey }, /secp256k1/, /P-256/],
  ['a public key of another kind', { publicKey: edwards.publicKey }, /ed25519/, /RSA/],
  ['a public key for HS256', { publicKey: rsa.publicKey, algorithms: ['HS256'] }, /HS256 does not fit/, /RS256/],
  ['a public key for HS256 beside RS256', { publicKey: rsa.publicKey, algorithms: ['RS256', 'HS256'] }, /HS256 does not fit/],
  ['an elliptic key for RS256', { publicKey: p256.publicKey, algorithms: ['RS256'] }, /RS256 does not fit/, /ES256/],
  ['a P-256 key for ES384', { publicKey: p256.publicKey, algorithms: ['ES384'] }, /ES384 does not fit/],
  ['a private key that is encrypted', { privateKey: encrypted }, /privateKey/, /unencrypted/],
  ['a private key that is public', { privateKey: pem(rsa.publicKey) }, /privateKey/],
  ['a private key that is no key', { privateKey: 'key.pem' }, /privateKey/],
  ['keys that are no pair', { privateKey: rsa.privateKey, publicKey: keys.otherRsa.publicKey }, /not a pair/],
  ['a secret and a public key', { secret: SECRET, publicKey: rsa.publicKey }, /Two sources/, /secret and publicKey/],
  ['a secret and a ring', { secret: SECRET, keys: [{ kid: 'a', secret: SECRET }] }, /Two sources/, /keys/],
  ['a secret and a resolver', { secret: SECRET, secretOrKeyProvider: () => undefined }, /Two sources/],
  ['a resolver without algorithms', { secretOrKeyProvider: () => undefined }, /secretOrKeyProvider/, /algorithms: \['RS256'\]/],
  ['a resolver that is no function', { secretOrKeyProvider: 'https://idp/jwks.json', algorithms: ['RS256'] }, /secretOrKeyProvider/, /function/],
  ['an empty ring', { keys: [] }, /keys/, /\[\{ kid, secret \}\]/],
  ['a ring that is no list', { keys: { a: SECRET } }, /keys/, /\[\{ kid, secret \}\]/],
  ['a ring of texts', { keys: [SECRET] }, /keys\[0\]/],
  ['a ring with an entry missing', { keys: [undefined] }, /keys\[0\]/],
  ['a ring with a kid twice', { keys: [{ kid: 'a', secret: SECRET }, { kid: 'a', publicKey: rsa.publicKey }] }, /keys.*"a".*twice/],
  ['a ring with two entries without kid', { keys: [{ secret: SECRET }, { publicKey: rsa.publicKey }] }, /no kid/],
  ['a ring with a kid that is a number', { keys: [{ kid: 1, secret: SECRET }] }, /keys\[0\]\.kid/],
  ['a ring entry without a key', { keys: [{ kid: 'a' }] }, /keys\[0\]: give either secret/],
  ['a ring entry with two keys', { keys: [{ kid: 'a', secret: SECRET, publicKey: rsa.publicKey }] }, /keys\[0\]: give either/],
  ['a ring entry with a short secret', { keys: [{ kid: 'a', secret: 'short' }] }, /keys\[0\]\.secret.*32 bytes/],
  ['a ring entry retired on no date', { keys: [{ kid: 'a', secret: SECRET, retiredAt: new Date(NaN) }] }, /keys\[0\]\.retiredAt/],
  ['a ring entry retired on a text', { keys: [{ kid: 'a', secret: SECRET, retiredAt: '2026-01-31' }] }, /keys\[0\]\.retiredAt/, /Date/],
  ['a ring entry with an unknown option', { keys: [{ kid: 'a', secret: SECRET, retireAt: new Date() }] }, /keys\[0\].*"retireAt".*"retiredAt"/],
  ['a ring with algorithms beside it', { keys: [{ kid: 'a', secret: SECRET }], algorithms: ['HS256'] }, /each key names its own/],
  ['an unknown option', { secret: SECRET, issuers: 'a' }, /"issuers"/, /"issuer"/],
  ['an option of the usual recipe', { secretOrKey: SECRET }, /"secretOrKey"/],
  ['an unknown transport', { secret: SECRET, transports: { qurey: false } }, /transports.*"qurey".*"query"/],
  ['an unknown cookie option', { secret: SECRET, cookie: { samesite: 'lax' } }, /cookie.*"samesite".*"sameSite"/],
  ['an unknown option of links', { secret: SECRET, links: { expires: '5m' } }, /links.*"expires".*"expiresIn"/],
  ['transports all off', { secret: SECRET, transports: { header: false, query: false, cookie: false } }, /transports/, /Leave one on/],
  ['transports.query a typo', { secret: SECRET, transports: { query: 'link' } }, /transports\.query/, /'links'/],
  ['transports.query a text of the environment', { secret: SECRET, transports: { query: 'false' } }, /transports\.query/],
  ['transports.header a text of the environment', { secret: SECRET, transports: { header: 'false' } }, /transports\.header/, /true or false/],
  ['transports.cookie a text of the environment', { secret: SECRET, transports: { cookie: 'false' } }, /transports\.cookie/, /true or false/],
  ['transports.form a number', { secret: SECRET, transports: { form: 1 } }, /transports\.form/, /true or false/],
  ['requireExpiration a text of the environment', { secret: SECRET, requireExpiration: 'true' }, /requireExpiration/, /true or false/],
  ['requireSecureConnection a text of the environment', { secret: SECRET, requireSecureConnection: 'false' }, /requireSecureConnection/, /true or false/],
  ['validate no function', { secret: SECRET, validate: true }, /validate/, /function/],
  ['links.validate no function', { secret: SECRET, links: { validate: {} } }, /links\.validate/, /function/],
  ['clock no function', { secret: SECRET, clock: 0 }, /clock/, /function/],
  ['clock that answers later', { secret: SECRET, clock: async () => 0 }, /clock/, /milliseconds/],
  ['refusalPage that answers later', { secret: SECRET, refusalPage: async () => '' }, /refusalPage/, /not async/],
  ['leases.clientKey that answers later', { secret: SECRET, leases: { clientKey: async () => 'x' } }, /leases.clientKey/, /not async/],
  ['refusalPage a text', { secret: SECRET, refusalPage: '<h1>No</h1>' }, /refusalPage/, /function.*false/],
  ['refusalPage true', { secret: SECRET, refusalPage: true }, /refusalPage/],
  ['issuer empty', { secret: SECRET, issuer: '' }, /issuer/, /leave it out/],
  ['issuer from a variable that is not set, in a list', { secret: SECRET, issuer: [undefined] }, /issuer/],
  ['audience an empty list', { secret: SECRET, audience: [] }, /audience/],
  ['audience a pattern', { secret: SECRET, audience: /.*/ }, /audience/],
  ['clockTolerance in the wrong unit', { secret: SECRET, clockTolerance: 5000 }, /clockTolerance/, /'30s'/],
  ['clockTolerance negative', { secret: SECRET, clockTolerance: -1 }, /clockTolerance/],
  ['clockTolerance infinite', { secret: SECRET, clockTolerance: Infinity }, /clockTolerance/],
  ['clockTolerance without a unit', { secret: SECRET, clockTolerance: '30' }, /clockTolerance/, /'5m'/],
  ['notIssuedBefore no date', { secret: SECRET, notIssuedBefore: new Date('yesterday') }, /notIssuedBefore/, /new Date\('/],
  ['notIssuedBefore a number', { secret: SECRET, notIssuedBefore: 0 }, /notIssuedBefore/],
  ['tokenName a number', { secret: SECRET, tokenName: 5 }, /tokenName/],
  ['tokenName with a blank', { secret: SECRET, tokenName: 'my token' }, /tokenName/],
  ['tokenName empty', { secret: SECRET, tokenName: '' }, /tokenName/],
  ['tokenName with a bracket', { secret: SECRET, tokenName: 'tok[]' }, /tokenName/],
  ['tokenName with a semicolon', { secret: SECRET, tokenName: 'a;b' }, /tokenName/],
  ['tokenName null', { secret: SECRET, tokenName: null }, /tokenName/],
  ['tokenName of a transport that has none', { secret: SECRET, tokenName: { header: 'x' } }, /tokenName.*"header"/],
  ['tokenName.query with a blank', { secret: SECRET, tokenName: { query: 'my token' } }, /tokenName\.query/],
  ['tokenName.cookie with an equals sign', { secret: SECRET, tokenName: { cookie: 'a=b' } }, /tokenName\.cookie/],
  ['tokenName.form empty', { secret: SECRET, tokenName: { form: '' } }, /tokenName\.form/],
  ['a __Host- cookie with a path', { secret: SECRET, tokenName: { cookie: '__Host-dl' }, cookie: { path: '/files' } }, /tokenName\.cookie.*__Host-/, /cookie\.path out/],
  ['a __Host- cookie with a domain', { secret: SECRET, tokenName: '__host-dl', cookie: { domain: 'example.com' } }, /tokenName\.cookie/, /cookie\.domain/],
  ['a __Host- cookie that is not secure', { secret: SECRET, tokenName: { cookie: '__Host-dl' }, cookie: { secure: false } }, /cookie\.secure.*__Host-/],
  ['a __Secure- cookie that is not secure', { secret: SECRET, tokenName: { cookie: '__Secure-dl' }, cookie: { secure: false } }, /cookie\.secure.*__Secure-/],
  ['a partitioned cookie that is not secure', { secret: SECRET, cookie: { partitioned: true, secure: false } }, /cookie\.secure.*partitioned/],
  ['a partitioned cookie that no frame gets', { secret: SECRET, cookie: { partitioned: true, sameSite: 'lax' } }, /cookie\.sameSite.*'none'/],
  ['cookie.partitioned a text of the environment', { secret: SECRET, cookie: { partitioned: 'true' } }, /cookie\.partitioned/, /true or false/],
  ['transports.cookie a typo', { secret: SECRET, transports: { cookie: 'samesite' } }, /transports\.cookie/, /'same-site'/],
  ['accept with an unknown member', { secret: SECRET, accept: { type: 'JWT' } }, /accept.*"type".*"typ"/],
  ['accept a text', { secret: SECRET, accept: 'JWT' }, /accept/],
  ['accept.typ an empty list', { secret: SECRET, accept: { typ: [] } }, /accept\.typ/],
  ['accept.typ with a gap', { secret: SECRET, accept: { typ: ['JWT', undefined] } }, /accept\.typ/],
  ['accept.claims a list', { secret: SECRET, accept: { claims: ['type'] } }, /accept\.claims/],
  ['accept.claims with no value', { secret: SECRET, accept: { claims: { type: undefined } } }, /accept\.claims\.type/],
  ['accept.claims with no values', { secret: SECRET, accept: { claims: { type: [] } } }, /accept\.claims\.type/],
  ['accept.claims with a pattern', { secret: SECRET, accept: { claims: { type: /access/ } } }, /accept\.claims\.type/],
  ['maxTokenAge zero', { secret: SECRET, maxTokenAge: 0 }, /maxTokenAge/, /'12h'/],
  ['maxTokenAge no duration', { secret: SECRET, maxTokenAge: 'a day' }, /maxTokenAge/],
  ['tokenName with a newline', { secret: SECRET, tokenName: 'tok\n' }, /tokenName/],
  ['cookie.sameSite unknown', { secret: SECRET, cookie: { sameSite: 'loose' } }, /cookie\.sameSite/, /'lax', 'strict' or 'none'/],
  ['cookie.sameSite none without secure', { secret: SECRET, cookie: { sameSite: 'none', secure: false } }, /cookie\.secure/],
  ['cookie.path with a semicolon', { secret: SECRET, cookie: { path: '/; Domain=evil.example' } }, /cookie\.path/],
  ['cookie.domain with a semicolon', { secret: SECRET, cookie: { domain: 'example.com; Path=/' } }, /cookie\.domain/],
  ['cookie.secure a text of the environment', { secret: SECRET, cookie: { secure: 'true' } }, /cookie\.secure/, /true or false/],
  ['verifiedTokenCacheBytes negative', { secret: SECRET, verifiedTokenCacheBytes: -1 }, /verifiedTokenCacheBytes/, /0 for no cache/],
  ['verifiedTokenCacheBytes infinite', { secret: SECRET, verifiedTokenCacheBytes: Infinity }, /verifiedTokenCacheBytes/],
  ['links.secret short', { secret: SECRET, links: { secret: 'short' } }, /links\.secret/, /32 bytes/],
  ['links.secret empty', { secret: SECRET, links: { secret: [] } }, /links\.secret/],
  ['links.secret with one too short', { secret: SECRET, links: { secret: [SECRET, 'short'] } }, /links\.secret/],
  ['links.expiresIn over the maximum', { secret: SECRET, links: { expiresIn: '8d' } }, /links\.expiresIn/, /'7d' or less/],
  ['links.expiresIn a second over the maximum', { secret: SECRET, links: { expiresIn: 7 * 24 * 3600 + 1 } }, /links\.expiresIn/],
  ['links.expiresIn zero', { secret: SECRET, links: { expiresIn: 0 } }, /links\.expiresIn/],
  ['links.expiresIn no duration', { secret: SECRET, links: { expiresIn: 'soon' } }, /links\.expiresIn.*not a duration/],
  ['links.maxAge negative', { secret: SECRET, links: { maxAge: '-1h' } }, /links\.maxAge/],
  ['links.maxAge zero', { secret: SECRET, links: { maxAge: 0 } }, /links\.maxAge/],
  ['links.publicUrl with no scheme, and no slash in front', { secret: SECRET, links: { publicUrl: 'api' } }, /links\.publicUrl/, /https:\/\//],
  ['links.publicUrl with a host and no scheme', { secret: SECRET, links: { publicUrl: '//evil.example' } }, /links\.publicUrl/, /'\/api'/],
  ['links.publicUrl with a host behind a backslash', { secret: SECRET, links: { publicUrl: '/\\evil.example' } }, /links\.publicUrl/, /'\/api'/],
  ['links.publicUrl of slashes', { secret: SECRET, links: { publicUrl: '//' } }, /links\.publicUrl/, /'\/api'/],
  ['links.publicUrl with dots', { secret: SECRET, links: { publicUrl: '/a/../b' } }, /links\.publicUrl/, /'\/api'/],
  ['links.publicUrl a path with a query', { secret: SECRET, links: { publicUrl: '/api?x' } }, /links\.publicUrl/, /'\/api'/],
  ['links.publicUrl a path with a fragment', { secret: SECRET, links: { publicUrl: '/api#x' } }, /links\.publicUrl/, /'\/api'/],
  ['links.publicUrl without a scheme', { secret: SECRET, links: { publicUrl: 'files.example.com' } }, /links\.publicUrl/],
  ['links.publicUrl with another scheme', { secret: SECRET, links: { publicUrl: 'javascript:alert(1)' } }, /links\.publicUrl/],
  ['links.publicUrl with a query', { secret: SECRET, links: { publicUrl: 'https://a.example/?x=1' } }, /links\.publicUrl/],
  ['links.publicUrl with an empty query', { secret: SECRET, links: { publicUrl: 'https://a.example/x?' } }, /links\.publicUrl/],
  ['links.publicUrl with an empty fragment', { secret: SECRET, links: { publicUrl: 'https://a.example/x#' } }, /links\.publicUrl/],
  ['links.publicUrl with a fragment', { secret: SECRET, links: { publicUrl: 'https://a.example/#x' } }, /links\.publicUrl/],
  ['links.publicUrl with a password', { secret: SECRET, links: { publicUrl: 'https://a:b@a.example' } }, /links\.publicUrl/],
  ['links.publicUrl a URL object', { secret: SECRET, links: { publicUrl: new URL('https://a.example/x') } }, /links\.publicUrl/],
  ['links.ignoreQuery a text', { secret: SECRET, links: { ignoreQuery: 'utm_source' } }, /links\.ignoreQuery/, /list/],
  ['delivery a text', { secret: SECRET, delivery: 'inline' }, /delivery: give an object/],
  ['leases null', { secret: SECRET, leases: null }, /leases: give an object/],
  ['leases a store', { secret: SECRET, leases: { store: 'redis' } }, /leases\.store.*new RedisLeaseStore/],
  ['leases.store a class', { secret: SECRET, leases: { store: MemoryLeaseStore } }, /leases\.store.*new RedisLeaseStore/],
]; // prettier-ignore

describe('an application with bad options refuses to start, and says what to write', () => {
  it.each(BAD)('%s', async (_name, options, ...says) => {
    const error = await start(options).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(DownloadAuthConfigurationError);
    const { message } = error as Error;
    for (const pattern of says) {
      expect(message).toMatch(pattern as RegExp);
    }
    expect(message).not.toContain(SECRET);
    expect(message).not.toMatch(/MII[A-Za-z0-9]/);
  });

  it.each<[string, unknown[], RegExp]>([
    ['the module is not imported', [], /argument Symbol\(DownloadAuthModule\.forRoot\(\)\) at index \[0\]/],
    ['the module is imported without options', [DownloadAuthModule], /^There are no options\. Write DownloadAuthModule\.forRoot\(/],
  ])('%s', async (_name, imports, says) => {
    await expect(startApp({ adapter: 'express', controllers: [HelloController], imports })).rejects.toThrow(says);
  }); // prettier-ignore

  it.each<[string, unknown, RegExp]>([
    ['an unknown option', { requireSecureConection: true }, /"requireSecureConection".*"requireSecureConnection"/],
    ['an unknown transport', { transports: { qurey: false } }, /"qurey".*"query"/],
    ['a transport that is a text', { transports: { query: 'off' } }, /transports\.query/],
    ['all transports off', { transports: { header: false, query: false, cookie: false, form: false } }, /all are switched off/],
    ['requireSecureConnection a text', { requireSecureConnection: 'no' }, /requireSecureConnection/],
    ['a delivery option that does not exist', { delivery: { cache: true } }, /cache/],
  ])('%s on @StreamDownload()', (_name, options, says) => {
    const mark = () => StreamDownload(options as never);
    expect(mark).toThrow(DownloadAuthConfigurationError);
    expect(mark).toThrow(says);
  }); // prettier-ignore
});

describe('a route that leaves none of the transports of the module on', () => {
  const onlyHeader = { header: true, query: false, cookie: false };
  class Inner {
    file(): string {
      return 'x';
    }
  }
  const mark = (controller: typeof Inner, target: 'handler' | 'controller') => {
    const descriptor = Object.getOwnPropertyDescriptor(controller.prototype, 'file') as PropertyDescriptor;
    Get('file')(controller.prototype, 'file', descriptor);
    const download = StreamDownload({ transports: { header: false } });
    if (target === 'handler') {
      download(controller.prototype, 'file', descriptor);
    } else {
      download(controller);
    }
    Controller()(controller);
    return controller;
  };

  it.each(['handler', 'controller'] as const)(
    'keeps the application from starting: the %s',
    async (target) => {
      class FilesController extends Inner {
        override file(): string {
          return 'y';
        }
      }
      const controllers = [mark(FilesController, target)];
      const module = DownloadAuthModule.forRoot({ secret: SECRET, transports: onlyHeader });
      const started = startApp({ adapter: 'express', controllers, imports: [module] });
      await expect(started).rejects.toThrow(DownloadAuthConfigurationError);
      await expect(started).rejects.toThrow(/^FilesController\.file: .*all are switched off/);
    },
  );

  it('may switch on again what its controller left off, and a method without a route does not count', async () => {
    class FilesController extends Inner {
      override file(): string {
        return 'w';
      }

      helper(): string {
        return 'no route';
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(
      FilesController.prototype,
      'file',
    ) as PropertyDescriptor;
    StreamDownload({ transports: { query: true } })(FilesController.prototype, 'file', descriptor);
    const controllers = [mark(FilesController, 'controller')];
    const module = DownloadAuthModule.forRoot({ secret: SECRET, transports: onlyHeader });
    app = await startApp({ adapter: 'express', controllers, imports: [module] });
    expect((await app.request(`/file?ss-tok=${accessToken()}`)).status).toBe(200);
    expect((await app.request('/file', { headers: bearer(accessToken()) })).status).toBe(401);
  });

  it('is measured by the options of the instance that guards it', async () => {
    const open = DownloadAuthModule.forRoot({ secret: SECRET, isGlobal: false });
    const closed = DownloadAuthModule.forRoot({ secret: SECRET, isGlobal: false, transports: onlyHeader });
    class QueryController extends Inner {
      override file(): string {
        return 'z';
      }
    }
    @Module({ imports: [open], controllers: [mark(QueryController, 'handler')] })
    class Open {}
    @Module({ imports: [closed] })
    class Closed {}
    app = await startApp({ adapter: 'express', controllers: [], imports: [Open, Closed] });
    expect((await app.request('/file', { headers: bearer(accessToken()) })).status).toBe(401);
    expect((await app.request(`/file?ss-tok=${accessToken()}`)).status).toBe(200);
  });
});

describe('options that look odd and are good', () => {
  it.each<[string, DownloadAuthOptions]>([
    ['members that are undefined', { secret: SECRET, issuer: undefined, links: undefined, transports: undefined, cookie: undefined, clock: undefined }],
    ['one transport only', { secret: SECRET, transports: { query: false, cookie: false } }],
    ['durations of every kind', { secret: SECRET, clockTolerance: 1.5, links: { expiresIn: '7d', maxAge: '2 hours' } }],
    ['a public URL with a path and a slash', { secret: SECRET, links: { publicUrl: 'https://a.example/api/' } }],
    ['a public path', { secret: SECRET, links: { publicUrl: '/api/' } }],
    ['an empty public URL', { secret: SECRET, links: { publicUrl: '' } }],
    ['the same secret for links', { secret: SECRET, links: { secret: SECRET } }],
    ['a cookie for all sites', { secret: SECRET, cookie: { sameSite: 'none' } }],
    ['the default of auth in words', { secret: SECRET, auth: 'token' }],
    ['a token name as another framework has it', { secret: SECRET, tokenName: 'X-Amz.Token~1' }],
  ])('%s', async (_name, options) => {
    await start(options);
    expect((await (app as TestApp).request('/files/a', { headers: bearer(accessToken()) })).status).toBe(200);
  });
}); // prettier-ignore

const OPTIONS = Symbol('options');

@Injectable()
class OptionsFactory {
  constructor(@Inject(OPTIONS) private readonly options: DownloadAuthOptions) {}

  async createDownloadAuthOptions(): Promise<DownloadAuthOptions> {
    return this.options;
  }
}

@Module({
  providers: [{ provide: OPTIONS, useValue: { secret: SECRET } }, OptionsFactory],
  exports: [OPTIONS, OptionsFactory],
})
class ConfigModule {}

it.each([{}, undefined, { inject: [], useFactory: undefined }])(
  'forRootAsync(%j) says what to write',
  (options) => {
    const configure = () => DownloadAuthModule.forRootAsync(options as object);
    expect(configure).toThrow(DownloadAuthConfigurationError);
    expect(configure).toThrow(/useFactory: .*useClass or useExisting/);
  },
);

describe.each(ADAPTERS)('forRootAsync on %s', (adapter) => {
  it.each([
    ['useFactory', DownloadAuthModule.forRootAsync({ useFactory: () => ({ secret: SECRET }) })],
    ['useFactory with imports and inject', DownloadAuthModule.forRootAsync({ imports: [ConfigModule], inject: [OPTIONS], useFactory: async (options: DownloadAuthOptions) => options })],
    ['useClass', DownloadAuthModule.forRootAsync({ imports: [ConfigModule], useClass: OptionsFactory })],
    ['useExisting', DownloadAuthModule.forRootAsync({ imports: [ConfigModule], useExisting: OptionsFactory })],
    ['isGlobal', DownloadAuthModule.forRootAsync({ isGlobal: true, useFactory: () => ({ secret: SECRET }) })],
  ])('takes the options from %s', async (_name, module) => {
    app = await startApp({ adapter, controllers: [HelloController], imports: [module] });
    expect((await app.request('/files/a', { headers: bearer(accessToken()) })).status).toBe(200);
    const forged = forge({ alg: 'HS256' }, { exp: inAnHour() }, `not ${SECRET}`);
    expect((await app.request('/files/a', { headers: bearer(forged) })).status).toBe(401);
  }); // prettier-ignore

  it.each<[string, () => DownloadAuthOptions | Promise<DownloadAuthOptions>, RegExp]>([
    ['bad options', () => ({ secret: 'short' }), /at least 32 bytes/],
    ['nothing', () => undefined as never, /forRoot/],
    ['a promise of nothing', async () => undefined as never, /forRoot/],
  ])('refuses to start where a factory gives %s', async (_name, useFactory, says) => {
    const starting = startApp({
      adapter,
      controllers: [HelloController],
      imports: [DownloadAuthModule.forRootAsync({ useFactory })],
    });
    await expect(starting).rejects.toThrow(DownloadAuthConfigurationError);
    await expect(starting).rejects.toThrow(says);
  });
});
