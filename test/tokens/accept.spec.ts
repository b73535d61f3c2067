import { afterEach, expect, it } from 'vitest';
import type { DownloadAuthOptions, RefusalCode } from '../../lib/index.js';
import { forge, keys } from '../support/forge.js';
import { HelloController } from '../support/hello.controller.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectNoTrace, expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';

const NOW = 1_800_000_000;
const NO_OPTIONS: Partial<DownloadAuthOptions> = {};

let app: TestApp;
let logger: MemoryLogger;
afterEach(() => app.close());

async function start(adapter: AdapterName, options: Partial<DownloadAuthOptions>): Promise<void> {
  logger = new MemoryLogger();
  app = await startApp({
    adapter,
    controllers: [HelloController],
    options: { secret: SECRET, clock: () => NOW * 1000, ...options },
    logger,
  });
}

const sign = (claims: object, header: object = {}, secret = SECRET): string =>
  forge({ alg: 'HS256', ...header }, { sub: 'ada', exp: NOW + 99, ...claims }, secret, 'HS256');
const present = (token: string) => app.request('/files/42', { headers: bearer(token) });

/** A token, and whether it is an access token. */
type Case = readonly [name: string, claims: object, header: object, outcome: RefusalCode | 200];

const CASES: readonly (readonly [when: string, options: Partial<DownloadAuthOptions>, cases: readonly Case[]])[] = [
  ['by default', NO_OPTIONS, [
    ['no typ', {}, {}, 200],
    ['JWT', {}, { typ: 'JWT' }, 200],
    ['jwt', {}, { typ: 'jwt' }, 200],
    ['application/jwt', {}, { typ: 'application/jwt' }, 200],
    ['at+jwt', {}, { typ: 'at+jwt' }, 200],
    ['Application/AT+JWT', {}, { typ: 'Application/AT+JWT' }, 200],
    ['a logout token', {}, { typ: 'logout+jwt' }, 'TOKEN_INVALID'],
    ['a security event', {}, { typ: 'application/secevent+jwt' }, 'TOKEN_INVALID'],
    ['a proof of possession', {}, { typ: 'dpop+jwt' }, 'TOKEN_INVALID'],
    ['a refresh token that says so', {}, { typ: 'Refresh' }, 'TOKEN_INVALID'],
    ['an empty typ', {}, { typ: '' }, 'TOKEN_INVALID'],
    ['a typ of another kind of media', {}, { typ: 'text/jwt' }, 'TOKEN_INVALID'],
    ['a typ with a path more', {}, { typ: 'application/x/jwt' }, 'TOKEN_INVALID'],
  ]],
  ['with a typ', { accept: { typ: 'application/vnd.acme+jwt' } }, [
    ['that typ', {}, { typ: 'VND.acme+jwt' }, 200],
    ['JWT', {}, { typ: 'JWT' }, 'TOKEN_INVALID'],
    ['no typ', {}, {}, 'TOKEN_INVALID'],
  ]],
  ['with several typ', { accept: { typ: ['session+jwt', 'jwt'] } }, [
    ['the first', {}, { typ: 'session+jwt' }, 200],
    ['no typ, which counts as JWT', {}, {}, 200],
    ['at+jwt', {}, { typ: 'at+jwt' }, 'TOKEN_INVALID'],
  ]],
  ['with claims', { accept: { claims: { type: 'access', level: [2, 3], roles: ['reader', 'admin'], mfa: true } } }, [
    ['all of them', { type: 'access', level: 3, roles: 'reader', mfa: true }, {}, 200],
    ['a list that has one', { type: 'access', level: 2, roles: ['x', 'admin'], mfa: true }, {}, 200],
    ['one with another value', { type: 'refresh', level: 2, roles: 'reader', mfa: true }, {}, 'TOKEN_INVALID'],
    ['one with a value of another type', { type: 'access', level: '2', roles: 'reader', mfa: true }, {}, 'TOKEN_INVALID'],
    ['one missing', { type: 'access', level: 2, roles: 'reader' }, {}, 'TOKEN_INVALID'],
    ['an empty list', { type: 'access', level: 2, roles: [], mfa: true }, {}, 'TOKEN_INVALID'],
    ['a list in a list', { type: 'access', level: 2, roles: [['admin']], mfa: true }, {}, 'TOKEN_INVALID'],
  ]],
  ['with the name of a member of every object', { accept: { claims: { constructor: 'x' } } }, [
    ['no such claim', {}, {}, 'TOKEN_INVALID'],
  ]],
  ['with maxTokenAge', { maxTokenAge: '1h', clockTolerance: 5 }, [
    ['an age under it', { iat: NOW - 3600 }, {}, 200],
    ['an age over it', { iat: NOW - 3605 }, {}, 'TOKEN_EXPIRED'],
    ['no iat', {}, {}, 'TOKEN_INVALID'],
    ['an iat within the tolerance', { iat: NOW + 5 }, {}, 200],
    ['an iat in the future', { iat: NOW + 6 }, {}, 'TOKEN_NOT_YET_VALID'],
  ]],
  ['with maxTokenAge and no expiry', { maxTokenAge: 60, requireExpiration: false }, [
    ['an age under it', { iat: NOW - 59, exp: undefined }, {}, 200],
    ['an age of it', { iat: NOW - 60, exp: undefined }, {}, 'TOKEN_EXPIRED'],
  ]],
  ['with a cut-off', { notIssuedBefore: new Date((NOW - 9) * 1000) }, [
    ['an iat after it', { iat: NOW - 1 }, {}, 200],
    ['an iat in the future', { iat: NOW + 1 }, {}, 'TOKEN_NOT_YET_VALID'],
    ['an iat in a far future', { iat: NOW + 1e9, exp: NOW + 2e9 }, {}, 'TOKEN_NOT_YET_VALID'],
  ]],
  ['with a cut-off that is looked up', { notIssuedBefore: async () => new Date((NOW - 9) * 1000), clockTolerance: 30 }, [
    ['an iat within the tolerance', { iat: NOW + 30 }, {}, 200],
    ['an iat in the future', { iat: NOW + 31 }, {}, 'TOKEN_NOT_YET_VALID'],
    ['an iat before it', { iat: NOW - 10 }, {}, 'TOKEN_CUT_OFF'],
  ]],
]; // prettier-ignore

it.each(ADAPTERS.flatMap((adapter) => CASES.map(([when, ...rest]) => [adapter, when, ...rest] as const)))(
  'on %s, %s, these are access tokens and these are not',
  async (adapter, _when, options, cases) => {
    await start(adapter, options);
    const outcomes = [];
    for (const [name, claims, header] of cases) {
      const answer = await present(sign(claims, header));
      outcomes.push([name, answer.status === 200 ? 200 : answer.json.code]);
    }
    expect(outcomes).toEqual(cases.map(([name, , , outcome]) => [name, outcome]));
  },
);

it.each(ADAPTERS)('on %s, a link is none the less a link where accept is narrow', async (adapter) => {
  await start(adapter, { accept: { typ: 'at+jwt', claims: { type: 'access' } } });
  const { DownloadLinks } = await import('../../lib/index.js');
  const { url } = app.get(DownloadLinks).create(HelloController, 'get', { params: { id: 'a' } });
  expect((await app.request(url)).json.grant.kind).toBe('link');
});

it.each(ADAPTERS)('on %s, the log warns once of an aud that is not checked', async (adapter) => {
  const warnings = () => logger.lines.filter((line) => line.startsWith('warn') && line.includes('audience:'));
  const toAnother = sign({ aud: 'mail.example.com' });
  await start(adapter, NO_OPTIONS);
  await present(sign({}));
  expect(warnings()).toHaveLength(0);
  expect((await present(toAnother)).status).toBe(200);
  expect((await present(toAnother)).status).toBe(200);
  expect(warnings()).toHaveLength(1);
  expectNoTrace(logger.text, toAnother);
  await app.close();
  await start(adapter, { audience: 'downloads' });
  await present(sign({ aud: 'downloads' }));
  expectRefusal(await present(toAnother), 401, 'TOKEN_INVALID', toAnother);
  expect(warnings()).toHaveLength(0);
});

/** Why a token is refused: what the log says at level debug, and whether the answer says it too. */
const REASONS: readonly (readonly [name: string, options: Partial<DownloadAuthOptions>, token: string, log: RegExp, told: boolean])[] = [
  ['another secret', NO_OPTIONS, sign({}, {}, `not ${SECRET}`), /signature does not fit the key/, false],
  ['another algorithm', NO_OPTIONS, forge({ alg: 'HS512' }, { exp: NOW + 9 }, SECRET), /signed with HS512; the key is for HS256/, false],
  ['an algorithm that is none', NO_OPTIONS, forge({ alg: 'x\n\x1b[2J' }, { exp: NOW + 9 }, SECRET, 'HS256'), /an algorithm that is not supported/, false],
  ['a public key with HMAC', { secret: undefined, publicKey: keys.rsa.publicKey }, sign({}), /signed with HS256; the key is for RS256/, false],
  ['an unknown kid', { secret: undefined, keys: [{ kid: 'a', secret: SECRET }] }, sign({}, { kid: 'b' }), /names a key \(kid\) that the ring does not have/, false],
  ['no kid', { secret: undefined, keys: [{ kid: 'a', secret: SECRET }] }, sign({}), /names no key/, false],
  ['a retired key', { secret: undefined, keys: [{ kid: 'a', secret: SECRET, retiredAt: new Date(0) }] }, sign({}, { kid: 'a' }), /is retired/, false],
  ['a resolver without a key', { secret: undefined, secretOrKeyProvider: (_r, _t, done) => done(null), algorithms: ['HS256'] }, sign({}), /secretOrKeyProvider has no key/, false],
  ['a resolver whose key is not for its algorithms', { secret: undefined, secretOrKeyProvider: (_r, _t, done) => done(null, keys.rsa.publicKey), algorithms: ['HS256'] }, sign({}), /the key is for none of the algorithms/, false],
  ['something that is no JWT', NO_OPTIONS, 'a.b.c', /not a JWT/, false],
  ['no exp', NO_OPTIONS, sign({ exp: undefined }), /no expiry \(exp\)/, true],
  ['an exp that is a text', NO_OPTIONS, sign({ exp: '1' }), /not a number/, true],
  ['another issuer', { issuer: 'https://idp' }, sign({ iss: 'https://evil' }), /issuer \(iss\)/, true],
  ['another audience', { audience: 'downloads' }, sign({ aud: 'mail' }), /another audience \(aud\)/, true],
  ['another type', NO_OPTIONS, sign({}, { typ: 'logout+jwt' }), /another type \(typ\)/, true],
  ['a claim that is missing', { accept: { claims: { type: 'access' } } }, sign({}), /lacks a claim/, true],
  ['no iat', { maxTokenAge: '1h' }, sign({}), /when it was issued \(iat\)/, true],
]; // prettier-ignore

it.each(ADAPTERS.flatMap((adapter) => REASONS.map(([name, ...rest]) => [adapter, name, ...rest] as const)))(
  'on %s, the log says at level debug that a token is refused for %s',
  async (adapter, _name, options, token, log, told) => {
    await start(adapter, options);
    const answer = await present(token);
    expectRefusal(answer, 401, 'TOKEN_INVALID', token);
    const lines = logger.lines.filter((line) => line.includes('TOKEN_INVALID'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^debug /);
    expect(lines[0]).toMatch(log);
    expect(lines[0]).not.toMatch(/\p{Cc}/u);
    expectNoTrace(logger.text, token);
    if (told) {
      expect(answer.json.message).toMatch(log);
      expect(answer.headers['www-authenticate']).toContain(answer.json.message);
    } else {
      expect(answer.json.message).toBe('The access token is not valid.');
    }
  },
);
