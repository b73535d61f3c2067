import { createPublicKey, type KeyObject } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { AccessTokens } from '../../lib/tokens/access-tokens.js';
import { parseCompactJws, type UnverifiedToken } from '../../lib/tokens/compact-jws.js';
import { RememberingVerifier, VerifiedTokens } from '../../lib/tokens/signatures.js';
import { resolveAccessPolicy } from '../../lib/tokens/token-options.js';
import { forge, keys } from '../support/forge.js';

const NOW = 1_800_000_000;
const { rsa } = keys;
const sign = (claims: object): string => forge({ alg: 'RS256' }, claims, rsa.privateKey);
const sameKey = createPublicKey(rsa.privateKey);

describe('VerifiedTokens', () => {
  let now = NOW * 1000;
  beforeEach(() => {
    now = NOW * 1000;
  });
  const cache = (size = 10) => new VerifiedTokens(size, () => now);

  test('remembers a token for the very key that verified it', () => {
    const verified = cache();
    expect(verified.has('a', rsa.publicKey)).toBe(false);
    verified.add('a', rsa.publicKey, NOW + 1);
    expect(verified.has('a', rsa.publicKey)).toBe(true);
    expect(verified.has('b', rsa.publicKey)).toBe(false);
    expect(verified.has('a', keys.otherRsa.publicKey)).toBe(false);
    expect(verified.has('a', sameKey)).toBe(false);
  });

  test('never answers for a token past its exp', () => {
    const verified = cache();
    verified.add('a', rsa.publicKey, NOW + 1);
    now += 999;
    expect(verified.has('a', rsa.publicKey)).toBe(true);
    now += 1;
    expect(verified.has('a', rsa.publicKey)).toBe(false);
  });

  test.each([[undefined], [null], [String(NOW + 1)], [NaN], [-1]])('has no use for an exp of %s', (exp) => {
    const verified = cache();
    verified.add('a', rsa.publicKey, exp);
    expect(verified.has('a', rsa.publicKey)).toBe(false);
  });

  test('holds no more than it may', () => {
    const verified = cache(3);
    for (const token of ['a', 'b', 'c', 'd']) {verified.add(token, rsa.publicKey, NOW + 1);}
    expect(['a', 'b', 'c', 'd'].map((token) => verified.has(token, rsa.publicKey))).toEqual([false, true, true, true]);
  }); // prettier-ignore

  test('of size 0 remembers nothing', () => {
    const verified = cache(0);
    verified.add('a', rsa.publicKey, NOW + 1);
    expect(verified.has('a', rsa.publicKey)).toBe(false);
  });

  test('keeps neither tokens nor claims', () => {
    const verified = cache();
    const token = sign({ exp: NOW + 1, sub: 'ada' });
    verified.add(token, rsa.publicKey, NOW + 1);
    const kept = [...(verified as unknown as { entries: Map<string, object> }).entries.entries()];
    expect(JSON.stringify(kept)).not.toContain(token.slice(-20));
    expect(JSON.stringify(kept)).not.toContain('ada');
  });
});

describe('an access token that was verified before', () => {
  let now = NOW * 1000;
  let asked: string[] = [];
  let key: KeyObject = rsa.publicKey;
  let cutOff: Date | undefined;
  const tokens = new AccessTokens(
    {
      keySource: { find: () => ({ key, algorithms: ['RS256'] }) },
      accessPolicy: resolveAccessPolicy({ requireExpiration: true, notIssuedBefore: () => cutOff }),
      clock: () => now,
    },
    new RememberingVerifier(
      {
        verify: async (token: string) => {
          asked.push(token);
          return key === rsa.publicKey ? parseCompactJws(token)?.claims : undefined;
        },
      },
      new VerifiedTokens(10, () => now),
    ),
  );
  const token = parseCompactJws(sign({ exp: NOW + 60, iat: NOW })) as UnverifiedToken;
  beforeEach(async () => {
    now = NOW * 1000;
    key = rsa.publicKey;
    cutOff = undefined;
    await tokens.authenticate(token, {});
    asked = [];
  });

  test('is not verified again', async () => {
    expect(await tokens.authenticate(token, {})).toEqual(token.claims);
    expect(asked).toEqual([]);
  });

  test('is refused from its exp on', async () => {
    now += 60_000;
    await expect(tokens.authenticate(token, {})).rejects.toMatchObject({ code: 'TOKEN_EXPIRED' });
  });

  test('is cut off as any other', async () => {
    cutOff = new Date((NOW + 1) * 1000);
    await expect(tokens.authenticate(token, {})).rejects.toMatchObject({ code: 'TOKEN_CUT_OFF' });
  });

  test('is verified again with another key', async () => {
    key = keys.otherRsa.publicKey;
    await expect(tokens.authenticate(token, {})).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
    expect(asked).toEqual([token.token]);
  });

  test('lends nothing to another token with its claims, its signature or its beginning', async () => {
    const [header, payload, signature] = token.token.split('.') as [string, string, string];
    for (const text of [`${header}.${payload}.${signature.slice(0, -4)}AAAA`, sign({ exp: NOW + 60, iat: NOW, jti: 'x' })]) {
      await tokens.authenticate(parseCompactJws(text) as UnverifiedToken, {});
      expect(asked.pop()).toBe(text);
    }
  }); // prettier-ignore

  test('was not remembered where it proved bad', async () => {
    key = keys.otherRsa.publicKey;
    const bad = parseCompactJws(sign({ exp: NOW + 60, jti: 'bad' })) as UnverifiedToken;
    for (let i = 0; i < 2; i++) {
      await expect(tokens.authenticate(bad, {})).rejects.toThrow();
    }
    expect(asked).toHaveLength(2);
  });
});
