import { execFileSync } from 'node:child_process';
import { createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { DownloadAuthOptions, KeyMaterial } from '../../lib/index.js';
import { forge, inAnHour, keys, pem } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectNoTrace, expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';

const { rsa, p256 } = keys;
const spki = rsa.publicKey.export({ format: 'der', type: 'spki' });
const pkcs1 = rsa.publicKey.export({ format: 'der', type: 'pkcs1' });
const certificate = selfSigned();
const certificateBytes = bytesOf(certificate);
const ssh = sshPublicKey(rsa.publicKey);
const jwk = rsa.publicKey.export({ format: 'jwk' });

/** A public key, a private key or a certificate in every form in which a configuration may have it. */
const FORMS: readonly (readonly [name: string, secret: string | Buffer])[] = [
  ['PEM', pem(rsa.publicKey)],
  ['PEM of PKCS #1', pem(rsa.publicKey, 'pkcs1')],
  ['PEM in one line, as variables have it', pem(rsa.publicKey).replaceAll('\n', '\\n')],
  ['PEM in base64', Buffer.from(pem(rsa.publicKey)).toString('base64')],
  ['PEM without its armour', withoutArmour(pem(rsa.publicKey))],
  ['PEM of PKCS #1 without its armour', withoutArmour(pem(rsa.publicKey, 'pkcs1'))],
  ['PEM without its armour in one line', withoutArmour(pem(rsa.publicKey)).replaceAll('\n', '\\n')],
  ['DER', spki],
  ['DER of PKCS #1', pkcs1],
  ['DER of an elliptic key', p256.publicKey.export({ format: 'der', type: 'spki' })],
  ['DER in base64', spki.toString('base64')],
  ['DER in base64url', spki.toString('base64url')],
  ['DER in hex', spki.toString('hex')],
  ['DER of an elliptic key in base64', p256.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')],
  ['a private key in DER', rsa.privateKey.export({ format: 'der', type: 'pkcs8' })],
  ['a private key in base64', p256.privateKey.export({ format: 'der', type: 'sec1' }).toString('base64')],
  ['JWK', JSON.stringify(jwk)],
  ['JWK with blanks around it', `\n ${JSON.stringify(jwk, null, 2)}\n`],
  ['JWK of an elliptic key', JSON.stringify(p256.publicKey.export({ format: 'jwk' }))],
  ['JWK in base64url', Buffer.from(JSON.stringify(jwk)).toString('base64url')],
  ['a set of JWK', JSON.stringify({ keys: [jwk] })],
  ['a certificate', certificate],
  ['a certificate in DER', certificateBytes],
  ['a certificate in base64, as x5c has it', certificateBytes.toString('base64')],
  ['OpenSSH', ssh],
  ['OpenSSH without its type', ssh.split(' ')[1] as string],
  ['the SSH2 file format', `---- BEGIN SSH2 PUBLIC KEY ----\n${ssh.split(' ')[1]}\n---- END SSH2 PUBLIC KEY ----`],
  ['XML, as .NET has it', `<RSAKeyValue><Modulus>${jwk.n}</Modulus><Exponent>AQAB</Exponent></RSAKeyValue>`],
]; // prettier-ignore

const PLACES: readonly (readonly [option: string, options: (secret: string | Buffer) => DownloadAuthOptions])[] = [
  ['secret', (secret) => ({ secret })],
  ['secret', (secret) => ({ secret: createSecretKey(Buffer.from(secret as string)) })],
  ['keys[1].secret', (secret) => ({ keys: [{ kid: 'a', secret: SECRET }, { kid: 'b', secret }] })],
  ['links.secret', (secret) => ({ secret: SECRET, links: { secret } })],
  ['links.secret', (secret) => ({ secret: SECRET, links: { secret: [SECRET, secret] } })],
]; // prettier-ignore

it.each(ADAPTERS.flatMap((adapter) => FORMS.map(([form, secret]) => [adapter, form, secret] as const)))(
  'on %s, no secret may be a public key as %s',
  async (adapter, _form, secret) => {
    for (const [option, options] of PLACES) {
      const starting = startApp({ adapter, controllers: [HelloController], options: options(secret) });
      await expect(starting).rejects.toThrow(`${option}: this is `);
      await expect(starting).rejects.toThrow(/not a secret\. Write publicKey/);
    }
  },
);

it.each(ADAPTERS.flatMap((adapter) => FORMS.map(([form, secret]) => [adapter, form, secret] as const)))(
  'on %s, no token is verified by HMAC with what a resolver has as %s',
  async (adapter, _form, secret) => {
    const app = await resolving(adapter, secret);
    const forged = forge({ alg: 'HS256' }, { sub: 'eve', exp: inAnHour() }, secret);
    const answer = await app.request('/files/42', { headers: bearer(forged) });
    const { status } = answer;
    expectRefusal(answer, status, status === 503 ? 'KEY_UNAVAILABLE' : 'TOKEN_INVALID', forged);
    await app.close();
  },
);

it.each([
  ['text', SECRET],
  ['base64', Buffer.from(SECRET).toString('base64')],
  ['64 hex digits', 'a1'.repeat(32)],
  ['bytes that begin like DER', Buffer.concat([Buffer.from([0x30, 0x82, 1, 0x22]), Buffer.alloc(60, 7)])],
  ['a JWK of a secret', JSON.stringify({ kty: 'oct', k: SECRET })],
  ['a text in angle brackets', `<${SECRET}>`],
  ['a text in braces', `{${SECRET}}`],
])('a secret that is %s stays a secret', async (_form, secret) => {
  const app = await startApp({ adapter: 'fastify', controllers: [HelloController], options: { secret, links: { secret } } });
  const token = forge({ alg: 'HS256' }, { sub: 'ada', exp: inAnHour() }, secret);
  expect((await app.request('/files/42', { headers: bearer(token) })).status).toBe(200);
  await app.close();
}); // prettier-ignore

it.each(ADAPTERS)('on %s, a resolver is asked only about tokens of the algorithms that are allowed', async (adapter) => {
  let asked = 0;
  const app = await resolving(adapter, rsa.publicKey, ['RS256'], () => asked++);
  const present = (token: string) => app.request('/files/42', { headers: bearer(token) });
  const claims = { sub: 'ada', exp: inAnHour() };
  for (const bad of [
    forge({ alg: 'HS256' }, claims, SECRET),
    forge({ alg: 'ES256' }, claims, p256.privateKey),
    forge({ alg: 'none' }, claims, SECRET, 'HS256'),
    forge({ alg: 'rs256' }, claims, rsa.privateKey, 'RS256'),
  ]) {
    expectRefusal(await present(bad), 401, 'TOKEN_INVALID', bad);
  }
  expect(asked).toBe(0);
  expect((await present(forge({ alg: 'RS256' }, claims, rsa.privateKey))).status).toBe(200);
  expect(asked).toBe(1);
  await app.close();
}); // prettier-ignore

it.each(ADAPTERS)('on %s, what a failing resolver says is logged once, in one line, without the token', async (adapter) => {
  const logger = new MemoryLogger();
  const app = await startApp({
    adapter,
    controllers: [HelloController],
    logger,
    options: {
      algorithms: ['HS256'],
      secretOrKeyProvider: (_request, token, done) => {
        const { kid } = JSON.parse(Buffer.from(String(token).split('.')[0] as string, 'base64url').toString());
        done(new Error(`no key ${kid} for ${String(token)} with ${String(token).split('.')[1]}`));
      },
    },
  });
  const kid = 'secret-kid\n[Nest] 1 - LOG forged line\x1b[31m\u2028x\u202e';
  const tokens = [1, 2, 3].map(() => forge({ alg: 'HS256', kid }, { sub: 'eve', exp: inAnHour() }, SECRET));
  for (const token of tokens) {
    expectRefusal(await app.request('/files/42', { headers: bearer(token) }), 503, 'KEY_UNAVAILABLE', token);
  }
  const lines = logger.lines.filter((line) => line.startsWith('error'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/is not available: Error: no key/);
  expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
  expect(lines[0]).not.toContain('secret-kid');
  expectNoTrace(logger.text, tokens[0] as string);
  await app.close();
}); // prettier-ignore

function resolving(
  adapter: (typeof ADAPTERS)[number],
  key: KeyMaterial,
  algorithms: DownloadAuthOptions['algorithms'] = ['HS256', 'RS256', 'ES256'],
  onAsked = () => {},
) {
  const secretOrKeyProvider: DownloadAuthOptions['secretOrKeyProvider'] = (_request, _token, done) => {
    onAsked();
    done(null, key);
  };
  return startApp({ adapter, controllers: [HelloController], options: { secretOrKeyProvider, algorithms } });
}

function withoutArmour(text: string): string {
  return text.replace(/-----[^-]+-----\n?/g, '').trim();
}

function bytesOf(armoured: string): Buffer {
  return Buffer.from(withoutArmour(armoured), 'base64');
}

function selfSigned(): string {
  const folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  writeFileSync(key, rsa.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  execFileSync('openssl', ['req', '-x509', '-new', '-key', key, '-subj', '/CN=idp', '-days', '1', '-out', certificate]);
  const text = readFileSync(certificate, 'latin1');
  rmSync(folder, { recursive: true });
  return text;
} // prettier-ignore

/** The line of an `id_rsa.pub` (RFC 4253 §6.6). */
function sshPublicKey(key: KeyObject): string {
  const { n, e } = key.export({ format: 'jwk' }) as { n: string; e: string };
  const field = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const number = (text: string) => Buffer.concat([Buffer.from([0]), Buffer.from(text, 'base64url')]);
  const blob = Buffer.concat([
    field(Buffer.from('ssh-rsa')),
    field(Buffer.from(e, 'base64url')),
    field(number(n)),
  ]);
  return `ssh-rsa ${blob.toString('base64')} idp@example.com`;
}
