import { createPublicKey, createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { AccessTokens } from '../../lib/tokens/access-tokens.js';
import { parseCompactJws } from '../../lib/tokens/compact-jws.js';
import { SignatureVerifier, VerifiedTokens } from '../../lib/tokens/signatures.js';
import { resolveAccessPolicy } from '../../lib/tokens/token-options.js';
import { jwsVectors } from '../support/jws-vectors.js';
import type { JwsVector, JwsVectorGroup } from '../support/jws-vectors.js';

const SUPPORTED = /^(HS|RS|PS|ES)(256|384|512)$/;
/** Encodings that the verifying library lets pass at JWS level; `parseCompactJws` is what stops them. */
const STOPPED_BY_THE_PARSER = /spaces|invalidCharacter|incorrectlyEncoded|unusedBits/i;

const signatures = new SignatureVerifier();
afterAll(() => signatures.dispose());
const groups = jwsVectors();

if (groups === undefined) {
  it.skip('the public JWS vectors are not beside this project (../shared/vectors/jws-vectors.json)');
}

describe.each((groups ?? []).map((group, index) => ({ name: `${index} ${group.source} ${group.group} ${group.alg}`, group })))(
  'public JWS vectors: $name',
  ({ group }) => {
    const key = keyOf(group);

    it.each(inWords(group.tests.filter(({ result, disputed }) => result === 'valid' && !disputed)))(
      'verifies %s',
      async (_name, { jws }) => {
        // a JWT is never empty, so the verifying library may refuse an empty payload, good as its signature
        // is
        if (SUPPORTED.test(group.alg) && !jws.includes('..')) {expect(await signatures.isSigned(jws, key)).toBe(true);}
        else {expect(await signatures.isSigned(jws, key)).toBe(false);}
      },
    );

    it.each(inWords(group.tests.filter(({ result, disputed }) => result === 'invalid' && !disputed && !group.jwkOnly)))(
      'does not verify %s',
      async (_name, { jws, comment }) => {
        const isPinned = alg(jws) === group.alg;
        if (isPinned && !STOPPED_BY_THE_PARSER.test(comment)) {
          expect(await signatures.isSigned(jws, key)).toBe(false);
        }
        expect(Boolean(parseCompactJws(jws)) && (await signatures.isSigned(jws, key))).toBe(false);
      },
    );

    it.each(inWords(group.tests.filter(({ result, disputed }) => result === 'invalid' || disputed)))(
      'accepts no download token from %s',
      async (_name, { jws }) => {
        const now = 1_300_000_000_000;
        await expect(authenticate(jws, group, key, now)).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
      },
    );
  },
); // prettier-ignore

const example = groups?.flatMap((group) => group.tests.map((vector) => ({ group, vector })))
  .find(({ vector }) => vector.tcId === 'rfc7515-A.1'); // prettier-ignore

it.runIf(example)('the JWT of RFC 7515 A.1 is good until its exp, and expired from then on', async () => {
  const { group, vector } = example as { group: JwsVectorGroup; vector: JwsVector };
  const exp = 1300819380_000;
  const claims = await authenticate(vector.jws, group, keyOf(group), exp - 1);
  expect(claims).toMatchObject({ iss: 'joe', 'http://example.com/is_root': true });
  await expect(authenticate(vector.jws, group, keyOf(group), exp)).rejects.toMatchObject({ code: 'TOKEN_EXPIRED' });
}); // prettier-ignore

/** The way of an access token from its text to its claims. */
async function authenticate(jws: string, group: JwsVectorGroup, key: KeyObject, now: number) {
  const tokens = new AccessTokens(
    {
      keySource: {
        find: ({ header }) => (header.alg === group.alg ? key : 'It is signed with another algorithm.'),
      },
      accessPolicy: resolveAccessPolicy({ requireExpiration: false, notIssuedBefore: undefined }),
      clock: () => now,
    },
    new VerifiedTokens({ verifiedTokenCacheBytes: 10_000, clock: () => now }),
    signatures,
  );
  return tokens.authenticate(jws, {});
}

function keyOf({ jwk }: JwsVectorGroup): KeyObject {
  return jwk.kty === 'oct'
    ? createSecretKey(Buffer.from(jwk.k as string, 'base64url'))
    : createPublicKey({ key: jwk, format: 'jwk' });
}

function alg(jws: string): unknown {
  try {
    const header: unknown = JSON.parse(Buffer.from(jws.split('.')[0] as string, 'base64url').toString());
    return (header as { alg?: unknown }).alg;
  } catch {
    return undefined;
  }
}

function inWords(vectors: readonly JwsVector[]): [string, JwsVector][] {
  return vectors.map((vector) => [`${vector.tcId} ${vector.comment}`, vector]);
}
