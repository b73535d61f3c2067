import jwksRsa from 'jwks-rsa';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { forge, inAnHour, keys } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import type { Answer } from '../support/http-client.js';

/** An identity provider: publishes keys, and can be taken down. */
class JwksServer {
  keys: object[] = [];
  status = 200;
  asked = 0;
  private readonly server: Server = createServer((_request, response) => {
    this.asked++;
    response.writeHead(this.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ keys: this.keys }));
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/jwks.json`;
  }

  close(): Promise<unknown> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

const { rsa, otherRsa, p256, otherP256 } = keys;
const HOSTILE = [
  '__proto__',
  'constructor',
  '',
  '../rsa-1',
  'rsa-1/',
  "rsa-1' OR '1'='1",
  'rsa-1\0',
  'http://127.0.0.1:9/',
];

describe.each(ADAPTERS)('an identity provider with jwks-rsa on %s', (adapter) => {
  const provider = new JwksServer();
  let app: TestApp;
  beforeAll(async () => {
    provider.keys = [jwk('rsa-1', 'RS256', rsa.publicKey), jwk('ec-1', 'ES256', p256.publicKey)];
    const jwksUri = await provider.listen();
    app = await startApp({
      adapter,
      controllers: [HelloController],
      options: {
        // no cache: so that a rotation is seen at once, and not after the minutes that jwks-rsa would keep a
        // key
        secretOrKeyProvider: jwksRsa.passportJwtSecret({ jwksUri, cache: false, rateLimit: false }),
        algorithms: ['RS256', 'ES256'],
        issuer: 'https://idp',
      },
    });
  });
  afterAll(async () => {
    await app.close();
    await provider.close();
  });
  const present = (token: string): Promise<Answer> => app.request('/files/42', { headers: bearer(token) });

  it.each([
    ['RS256', 'rsa-1', rsa.privateKey],
    ['ES256', 'ec-1', p256.privateKey],
  ])('%s tokens of its key are good, again and again', async (alg, kid, key) => {
    const good = token(alg, kid, key);
    for (let i = 0; i < 3; i++) {
      expect((await present(good)).json.grant.subject).toBe('ada');
    }
  });

  it.each([
    ['an unknown kid', token('RS256', 'rsa-9', rsa.privateKey)],
    ['no kid, where there are several keys', token('RS256', undefined, rsa.privateKey)],
    ['the kid of a key of another type', token('RS256', 'ec-1', rsa.privateKey)],
    ['the kid of an RSA key on an elliptic signature', token('ES256', 'rsa-1', p256.privateKey)],
    ['the signature of another RSA key', token('RS256', 'rsa-1', otherRsa.privateKey)],
    ['the signature of another elliptic key', token('ES256', 'ec-1', otherP256.privateKey)],
    ['an algorithm it is not pinned to', token('RS512', 'rsa-1', rsa.privateKey)],
    ['another issuer', token('RS256', 'rsa-1', rsa.privateKey, { iss: 'https://evil' })],
    ['an HMAC with the public key', forge({ alg: 'HS256', kid: 'rsa-1' }, claims(), rsa.publicKey.export({ format: 'pem', type: 'spki' }))],
    ['a jku of its own', forge({ alg: 'RS256', kid: 'rsa-9', jku: 'http://127.0.0.1:9/' }, claims(), otherRsa.privateKey)],
    ...HOSTILE.map((kid) => [`kid ${JSON.stringify(kid)}`, token('RS256', kid, rsa.privateKey)]),
  ] as [string, string][])('a token is refused for %s', async (_name, bad) => {
    expectRefusal(await present(bad), 401, 'TOKEN_INVALID', bad);
  }); // prettier-ignore

  it('a new key works as soon as it is published, an old one not any more once it is withdrawn', async () => {
    const before = token('RS256', 'rsa-1', rsa.privateKey);
    const after = token('RS256', 'rsa-2', otherRsa.privateKey);
    expect((await present(before)).status).toBe(200);
    expectRefusal(await present(after), 401, 'TOKEN_INVALID');
    provider.keys = [...provider.keys, jwk('rsa-2', 'RS256', otherRsa.publicKey)];
    expect((await present(before)).status).toBe(200);
    expect((await present(after)).status).toBe(200);
    provider.keys = [jwk('rsa-2', 'RS256', otherRsa.publicKey)];
    expectRefusal(await present(before), 401, 'TOKEN_INVALID');
    expect((await present(after)).status).toBe(200);
  });

  it('a key that is replaced under the same kid is heeded at once, whatever was verified before', async () => {
    const old = token('RS256', 'k', rsa.privateKey);
    provider.keys = [jwk('k', 'RS256', rsa.publicKey)];
    expect((await present(old)).status).toBe(200);
    provider.keys = [jwk('k', 'RS256', otherRsa.publicKey)];
    expectRefusal(await present(old), 401, 'TOKEN_INVALID');
    expect((await present(token('RS256', 'k', otherRsa.privateKey))).status).toBe(200);
  });

  it('an outage of the provider is a 503, and over when it is over', async () => {
    provider.keys = [jwk('k', 'RS256', rsa.publicKey)];
    const good = token('RS256', 'k', rsa.privateKey);
    provider.status = 500;
    expectRefusal(await present(good), 503, 'KEY_UNAVAILABLE', good);
    provider.status = 200;
    expect((await present(good)).status).toBe(200);
  });

  it('a token that is malformed does not even reach it', async () => {
    const { asked } = provider;
    await present('a.b.c');
    await present('x'.repeat(1000));
    expect(provider.asked).toBe(asked);
  });
});

it('with the cache of jwks-rsa, known keys outlive an outage and unknown ones are a 503', async () => {
  const provider = new JwksServer();
  provider.keys = [jwk('k', 'RS256', rsa.publicKey)];
  const jwksUri = await provider.listen();
  const app = await startApp({
    adapter: 'express',
    controllers: [HelloController],
    options: { secretOrKeyProvider: jwksRsa.passportJwtSecret({ jwksUri }), algorithms: ['RS256'] },
  });
  const ask = async (kid: string) =>
    app.request('/files/42', { headers: bearer(token('RS256', kid, rsa.privateKey)) });
  expect((await ask('k')).status).toBe(200);
  await provider.close();
  expect((await ask('k')).status).toBe(200);
  expectRefusal(await ask('other'), 503, 'KEY_UNAVAILABLE');
  await app.close();
});

function jwk(kid: string, alg: string, key: KeyObject): object {
  return { ...key.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

function claims(): object {
  return { sub: 'ada', iss: 'https://idp', exp: inAnHour() };
}

function token(alg: string, kid: string | undefined, key: KeyObject, extra: object = {}): string {
  return forge({ alg, kid }, { ...claims(), ...extra }, key);
}
