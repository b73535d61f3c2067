import { describe, expect, it } from 'vitest';
import { MAX_TOKEN_LENGTH, parseCompactJws, typeOf } from '../../lib/tokens/compact-jws.js';
import { forge, inAnHour, signingInput } from '../support/forge.js';
import { SECRET } from '../support/test-app.js';
import { mangled, strangeHeaders, withSpareBit } from './forgeries.js';

const token = forge({ alg: 'HS256', kid: 'a', typ: 'JWT' }, { sub: 'ada', exp: inAnHour() }, SECRET);

describe('parseCompactJws', () => {
  it('takes header and claims of a signed token apart', () => {
    expect(parseCompactJws(token)).toEqual({
      token,
      header: { alg: 'HS256', kid: 'a', typ: 'JWT' },
      claims: { sub: 'ada', exp: expect.any(Number) },
    });
  });

  it.each([
    ['objects inside', { cnf: { jwk: { kty: 'EC' } }, aud: ['a', 'b'] }],
    ['braces, quotes and colons inside of texts', { sub: '{"exp":1,"exp":2}\\', 'a:b"c\\"': ':{[' }],
    ['names repeated at different depths', { exp: 1, a: { exp: 2, b: [{ exp: 3 }] } }],
    ['letters of every script', { sub: 'Ада 🦊 \u2028 \u0000' }],
    ['a member called __proto__', JSON.parse('{"__proto__":{"exp":1},"constructor":1}')],
  ])('keeps %s', (_name, claims) => {
    const parsed = parseCompactJws(`${signingInput({ alg: 'HS256' }, claims)}.AAAA`)?.claims;
    expect(JSON.stringify(parsed)).toBe(JSON.stringify(claims));
    expect(({} as { exp?: unknown }).exp).toBeUndefined();
  });

  it.each([...strangeHeaders(SECRET), ...mangled(token)].filter(([name]) => !/^alg [A-Z_]|^alg in lower|^alg with|^alg of another|^alg constructor|^signature (of|all|twice|in hex|encoded|with a byte)|base64$|swapped/.test(name)))(
    'refuses %s',
    (_name, bad) => expect(parseCompactJws(bad)).toBeUndefined(),
  ); // prettier-ignore

  it.each([0, 1, 2])('refuses spare bits in segment %i', (index) => {
    const segments = token.split('.');
    const spelled = segments.map((segment, i) => (i === index ? withSpareBit(segment) : segment)).join('.');
    expect(parseCompactJws(spelled)).toBeUndefined();
  });

  it('never spends more than it must on a token that is too long', () => {
    const bomb = `${token}${'A'.repeat(MAX_TOKEN_LENGTH)}`;
    expect(parseCompactJws(bomb)).toBeUndefined();
    expect(typeOf(bomb)).toBe('JWT');
    expect(typeOf('A'.repeat(10 * MAX_TOKEN_LENGTH))).toBeUndefined();
  });
});

describe('typeOf', () => {
  it.each([
    ['a header alone', token.split('.')[0] as string, 'JWT'],
    ['a header and a dot', `${token.split('.')[0]}.`, 'JWT'],
    ['nothing', '', undefined],
    ['a dot', '.', undefined],
    ['a header without typ', signingInput({ alg: 'HS256' }, {}), undefined],
    ['a typ that is no text', signingInput({ typ: ['dl+jwt'] }, {}), undefined],
    ['a typ given twice', signingInput('{"typ":"JWT","typ":"dl+jwt"}', {}), undefined],
    ['no JSON', 'AAAA.AAAA', undefined],
    ['an inherited typ', signingInput('{"__proto__":{"typ":"dl+jwt"}}', {}), undefined],
  ])('of %s', (_name, text, typ) => expect(typeOf(text)).toBe(typ));
});
