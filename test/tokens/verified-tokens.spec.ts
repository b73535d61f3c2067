import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { AccessTokens } from '../../lib/tokens/access-tokens.js';
import { parseCompactJws } from '../../lib/tokens/compact-jws.js';
import type { UnverifiedToken } from '../../lib/tokens/compact-jws.js';
import { RememberingVerifier } from '../../lib/tokens/signatures.js';
import { resolveAccessPolicy } from '../../lib/tokens/token-options.js';
import { testClock } from '../support/clock.js';
import type { TestClock } from '../support/clock.js';
import { forge, keys } from '../support/forge.js';

const NOW = 1_800_000_000;
const { rsa } = keys;

let clock: TestClock;
let cutOff: Date | undefined;
let key: KeyObject;
/** The tokens whose signature was verified, in this order. */
let asked: string[];
let verifier: RememberingVerifier;
beforeEach(() => {
  clock = testClock(NOW * 1000);
  cutOff = undefined;
  key = rsa.publicKey;
  asked = [];
  verifier = remembering(10);
});

function remembering(size: number): RememberingVerifier {
  const verify = async (token: string, key: KeyObject) => {
    asked.push(token);
    return key.equals(rsa.publicKey) ? parseCompactJws(token)?.claims : undefined;
  };
  return new RememberingVerifier({ verify }, size, clock);
}

const parse = (token: string) => parseCompactJws(token) as UnverifiedToken;
const signed = (claims: object) => parse(forge({ alg: 'RS256' }, claims, rsa.privateKey));
const authenticate = (token: UnverifiedToken) =>
  new AccessTokens(
    {
      keySource: { find: () => ({ key, algorithms: ['RS256'] }) },
      accessPolicy: resolveAccessPolicy({ notIssuedBefore: () => cutOff }),
      clock,
    },
    verifier,
  ).authenticate(token, {});

it('a token is verified once', async () => {
  const token = signed({ exp: NOW + 60, sub: 'ada' });
  for (let i = 0; i < 3; i++) {
    expect(await authenticate(token)).toEqual(token.claims);
  }
  expect(asked).toEqual([token.token]);
});

it.each([
  ['another key', keys.otherRsa.publicKey, undefined],
  ['another object of the same key', createPublicKey(rsa.privateKey), { exp: NOW + 60 }],
])('a token is verified again with %s', async (_name, other, claims) => {
  const token = signed({ exp: NOW + 60 });
  await verifier.verify(token, rsa.publicKey);
  expect(await verifier.verify(token, other)).toEqual(claims);
  expect(asked).toHaveLength(2);
});

it('a token is not remembered past its exp', async () => {
  const token = signed({ exp: NOW + 1 });
  await authenticate(token);
  clock.advance(999);
  await authenticate(token);
  expect(asked).toHaveLength(1);
  clock.advance(1);
  await expect(authenticate(token)).rejects.toMatchObject({ code: 'TOKEN_EXPIRED' });
  expect(asked).toHaveLength(2);
});

it.each([[undefined], [null], [String(NOW + 1)], [-1]])('a token with an exp of %s is not remembered', async (exp) => {
  const token = signed({ exp });
  await verifier.verify(token, key);
  await verifier.verify(token, key);
  expect(asked).toHaveLength(2);
}); // prettier-ignore

it('the least recently used token is dropped where there are too many', async () => {
  verifier = remembering(3);
  const tokens = ['a', 'b', 'c', 'd'].map((jti) => signed({ exp: NOW + 60, jti }));
  for (const token of [...tokens, ...tokens.slice(1), tokens[0] as UnverifiedToken]) {
    await verifier.verify(token, key);
  }
  expect(asked).toEqual([...tokens, tokens[0]].map((token) => token?.token));
});

it('no token is remembered where the size is 0', async () => {
  verifier = remembering(0);
  const token = signed({ exp: NOW + 60 });
  await verifier.verify(token, key);
  await verifier.verify(token, key);
  expect(asked).toHaveLength(2);
});

it('neither tokens nor claims are kept', async () => {
  const token = signed({ exp: NOW + 60, sub: 'ada' });
  await verifier.verify(token, key);
  const { verified } = verifier as unknown as { verified: Map<string, object> };
  const kept = JSON.stringify([...verified.entries()]);
  expect(kept).toContain(String(NOW + 60));
  expect(kept).not.toContain(token.token.slice(-20));
  expect(kept).not.toContain('ada');
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
  const altered = parse(`${token.token.slice(0, -4)}AAAA`);
  const another = signed({ exp: NOW + 60, jti: 'x' });
  await authenticate(altered);
  await authenticate(another);
  expect(asked).toEqual([token, altered, another].map((one) => one.token));
});

it('a token with a bad signature is not remembered', async () => {
  key = keys.otherRsa.publicKey;
  const token = signed({ exp: NOW + 60 });
  for (let i = 0; i < 2; i++) {
    await expect(authenticate(token)).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
  }
  expect(asked).toHaveLength(2);
});
