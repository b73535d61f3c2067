import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { AccessTokens } from '../../lib/tokens/access-tokens.js';
import { resolveOptions } from '../../lib/resolve-options.js';
import { VerifiedTokens } from '../../lib/tokens/signatures.js';
import { resolveAccessPolicy } from '../../lib/tokens/token-options.js';
import { forge, keys } from '../support/forge.js';
import { SECRET } from '../support/test-app.js';

const NOW = 1_800_000_000;
const { rsa } = keys;

let now: number;
let cutOff: Date | undefined;
let key: KeyObject;
/** The tokens whose signature was verified, in this order. */
let asked: string[];
let tokens: VerifiedTokens;
beforeEach(() => {
  now = NOW * 1000;
  cutOff = undefined;
  key = rsa.publicKey;
  asked = [];
  tokens = remembering(1_000_000);
});

function remembering(bytes: number): VerifiedTokens {
  return new VerifiedTokens({ verifiedTokenCacheBytes: bytes, clock: () => now });
}

async function isSigned(token: string, key: KeyObject): Promise<boolean> {
  asked.push(token);
  return key.equals(rsa.publicKey);
}

const signed = (claims: object) => forge({ alg: 'RS256' }, claims, rsa.privateKey);
const verify = (token: string, key: KeyObject) =>
  tokens.verify(tokens.parse(token)!, key, () => isSigned(token, key));
const authenticate = (token: string) =>
  new AccessTokens(
    {
      keySource: { find: () => key },
      accessPolicy: resolveAccessPolicy({ notIssuedBefore: () => cutOff }),
      clock: () => now,
    },
    tokens,
    { isSigned },
  ).authenticate(token, {});

it('a token is verified once', async () => {
  const token = signed({ exp: NOW + 60, sub: 'ada' });
  for (let i = 0; i < 3; i++) {
    expect(await authenticate(token)).toEqual({ exp: NOW + 60, sub: 'ada' });
  }
  expect(asked).toEqual([token]);
});

it.each([
  ['another key', keys.otherRsa.publicKey, undefined],
  ['another object of the same key', createPublicKey(rsa.privateKey), { exp: NOW + 60 }],
])('a token is verified again with %s', async (_name, other, claims) => {
  const token = signed({ exp: NOW + 60 });
  await verify(token, rsa.publicKey);
  expect(await verify(token, other)).toEqual(claims);
  expect(asked).toHaveLength(2);
});

it('a token is not remembered past its exp', async () => {
  const token = signed({ exp: NOW + 1 });
  await authenticate(token);
  now += 999;
  await authenticate(token);
  expect(asked).toHaveLength(1);
  now += 1;
  await expect(authenticate(token)).rejects.toMatchObject({ code: 'TOKEN_EXPIRED' });
  expect(asked).toHaveLength(2);
});

it.each([[undefined], [null], [String(NOW + 1)], [-1]])('a token with an exp of %s is not remembered', async (exp) => {
  const token = signed({ exp });
  await verify(token, key);
  await verify(token, key);
  expect(asked).toHaveLength(2);
}); // prettier-ignore

it('what one caller changes in the claims, no other one sees', async () => {
  const claims = { exp: NOW + 60, sub: 'ada', roles: ['reader'], org: { id: 1, units: [{ id: 2 }] } };
  const token = signed(claims);
  for (let i = 0; i < 3; i++) {
    const mine = (await authenticate(token)) as typeof claims;
    expect(mine).toEqual(claims);
    mine.sub = 'grace';
    mine.roles.push('admin');
    mine.org.units[0]!.id = 3;
  }
  expect(asked).toHaveLength(1);
});

it('a claim named __proto__ is a claim like any other', async () => {
  const token = forge({ alg: 'RS256' }, `{"exp":${NOW + 60},"__proto__":{"admin":true}}`, rsa.privateKey);
  for (let i = 0; i < 2; i++) {
    const claims = await authenticate(token);
    expect(Object.keys(claims)).toEqual(['exp', '__proto__']);
    expect(claims.admin).toBeUndefined();
  }
});

it('the least recently used tokens are dropped where they take too many bytes', async () => {
  const issued = ['a', 'b', 'c', 'd'].map((jti) => signed({ exp: NOW + 60, jti }));
  tokens = remembering(3 * 2000);
  for (const token of [...issued, ...issued.slice(1), issued[0]!]) {
    await verify(token, key);
  }
  expect(asked).toEqual([...issued, issued[0]]);
});

it('the default remembers the tokens of 5,000 people who take turns, of 2 KiB each', async () => {
  const bytes = resolveOptions({ secret: SECRET }).verifiedTokenCacheBytes;
  tokens = remembering(bytes);
  const text = 'x'.repeat(1220);
  const [header, , signature] = signed({}).split('.');
  const payload = (sub: number) =>
    Buffer.from(JSON.stringify({ exp: NOW + 60, sub, text })).toString('base64url');
  const issued = Array.from({ length: 5000 }, (_, i) => `${header}.${payload(i)}.${signature}`);
  for (const token of issued) {
    await verify(token, key);
  }
  expect(issued.every((token) => tokens.parse(token)?.verifiedWith === key)).toBe(true);
});

it('a token that takes more bytes than there are is not remembered', async () => {
  tokens = remembering(2000);
  const token = signed({ exp: NOW + 60, text: 'x'.repeat(1000) });
  await verify(token, key);
  await verify(token, key);
  expect(asked).toHaveLength(2);
});

it('no token is remembered where no bytes are allowed', async () => {
  tokens = remembering(0);
  const token = signed({ exp: NOW + 60 });
  await verify(token, key);
  await verify(token, key);
  expect(asked).toHaveLength(2);
});

it('the tokens themselves are not kept', async () => {
  const token = signed({ exp: NOW + 60, sub: 'ada' });
  await verify(token, key);
  const { remembered } = tokens as unknown as { remembered: Map<string, object> };
  const kept = JSON.stringify([...remembered.entries()]);
  expect(kept).toContain('ada');
  for (const part of token.split('.')) {
    expect(kept).not.toContain(part.slice(0, 20));
  }
});

it('a remembered token is cut off like any other', async () => {
  const token = signed({ exp: NOW + 60, iat: NOW });
  await authenticate(token);
  cutOff = new Date((NOW + 1) * 1000);
  await expect(authenticate(token)).rejects.toMatchObject({ code: 'TOKEN_CUT_OFF' });
});

it('a remembered token helps no other one with its claims, its signature or its beginning', async () => {
  const token = signed({ exp: NOW + 60 });
  await authenticate(token);
  const altered = `${token.slice(0, -4)}AAAA`;
  const another = signed({ exp: NOW + 60, jti: 'x' });
  await authenticate(altered);
  await authenticate(another);
  expect(asked).toEqual([token, altered, another]);
});

it('a token with a bad signature is not remembered', async () => {
  key = keys.otherRsa.publicKey;
  const token = signed({ exp: NOW + 60 });
  for (let i = 0; i < 2; i++) {
    await expect(authenticate(token)).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
  }
  expect(asked).toHaveLength(2);
});
