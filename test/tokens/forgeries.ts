import type { RefusalCode } from '../../lib/index.js';
import { base64url, forge, inAnHour, keys, pem, signature, signingInput } from '../support/forge.js';

/** A token that must be refused, and how. */
export type Forgery = readonly [name: string, token: string, code: RefusalCode];

const good = { sub: 'ada', exp: inAnHour() };
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Tokens that claim no signature, in every spelling. */
export function unsigned(): Forgery[] {
  const spellings = ['none', 'None', 'NONE', 'nOnE', ' none', 'none ', '', 'null', 'undefined', 'HS256,none'];
  return spellings.flatMap((alg): Forgery[] => {
    const input = signingInput({ alg, typ: 'JWT' }, good);
    return [
      [`alg ${JSON.stringify(alg)} without a signature`, `${input}.`, 'TOKEN_INVALID'],
      [`alg ${JSON.stringify(alg)} with some signature`, `${input}.AAAA`, 'TOKEN_INVALID'],
      [`alg ${JSON.stringify(alg)} with two segments`, input, 'TOKEN_INVALID'],
    ];
  });
}

/** Headers that are wrong although the signature over them is a good HS256 one. */
export function strangeHeaders(secret: string): Forgery[] {
  const signed = (header: unknown): string =>
    forge(typeof header === 'string' ? header : JSON.stringify(header), good, secret, 'HS256');
  const table: readonly (readonly [string, unknown])[] = [
    ['alg missing', { typ: 'JWT' }],
    ['alg null', { alg: null }],
    ['alg a number', { alg: 256 }],
    ['alg a list', { alg: ['HS256'] }],
    ['alg an object', { alg: { toString: 'HS256' } }],
    ['alg in lower case', { alg: 'hs256' }],
    ['alg with a NUL', { alg: 'HS256\0' }],
    ['alg with a blank', { alg: 'HS256 ' }],
    ['alg of another name', { alg: 'HS2560' }],
    ['alg RS256 over an HMAC', { alg: 'RS256' }],
    ['alg ES256 over an HMAC', { alg: 'ES256' }],
    ['alg EdDSA over an HMAC', { alg: 'EdDSA' }],
    ['alg __proto__', { alg: '__proto__' }],
    ['alg constructor', { alg: 'constructor' }],
    ['alg twice', '{"alg":"HS256","alg":"HS256"}'],
    ['alg twice, none first', '{"alg":"none","alg":"HS256"}'],
    ['alg twice, once escaped', '{"\\u0061lg":"none","alg":"HS256"}'],
    ['crit empty', { alg: 'HS256', crit: [] }],
    ['crit that names exp', { alg: 'HS256', crit: ['exp'], exp: good.exp }],
    ['crit that names an unknown extension', { alg: 'HS256', crit: ['x'], x: 1 }],
    ['crit no list', { alg: 'HS256', crit: 'alg' }],
    ['crit null', { alg: 'HS256', crit: null }],
    ['b64 false and critical', { alg: 'HS256', b64: false, crit: ['b64'] }],
    ['b64 false', { alg: 'HS256', b64: false }],
    ['b64 true', { alg: 'HS256', b64: true }],
    ['kid a number', { alg: 'HS256', kid: 1 }],
    ['kid a list', { alg: 'HS256', kid: ['a'] }],
    ['kid an object', { alg: 'HS256', kid: {} }],
    ['kid null', { alg: 'HS256', kid: null }],
    ['typ a number', { alg: 'HS256', typ: 1 }],
    ['typ a list', { alg: 'HS256', typ: ['dl+jwt'] }],
    ['header null', 'null'],
    ['header a list', '[{"alg":"HS256"}]'],
    ['header a text', '"HS256"'],
    ['header no JSON', '{alg:HS256}'],
    ['header with a byte order mark', '\ufeff{"alg":"HS256"}'],
    ['header with something after it', '{"alg":"HS256"}x'],
  ];
  return table.map(([name, header]): Forgery => [name, signed(header), 'TOKEN_INVALID']);
}

/** Payloads that are wrong although the signature over them is good. */
export function strangePayloads(secret: string): Forgery[] {
  const hour = inAnHour();
  const table: readonly (readonly [string, string | Uint8Array, RefusalCode?])[] = [
    ['no exp', '{"sub":"ada"}'],
    ['an empty object', '{}'],
    ['exp a text', `{"exp":"${hour}"}`],
    ['exp a text that is no number', '{"exp":"never"}'],
    ['exp an empty text', '{"exp":""}'],
    ['exp null', '{"exp":null}'],
    ['exp true', '{"exp":true}'],
    ['exp a list', `{"exp":[${hour}]}`],
    ['exp an object', '{"exp":{}}'],
    ['exp infinite', '{"exp":1e400}'],
    ['exp NaN', '{"exp":NaN}'],
    ['exp Infinity', '{"exp":Infinity}'],
    ['exp hexadecimal', '{"exp":0xffffffff}'],
    ['exp infinitely long ago', '{"exp":-1e400}'],
    ['exp negative', '{"exp":-1}', 'TOKEN_EXPIRED'],
    ['exp zero', '{"exp":0}', 'TOKEN_EXPIRED'],
    ['exp minus zero', '{"exp":-0}', 'TOKEN_EXPIRED'],
    ['exp tiny', '{"exp":1e-400}', 'TOKEN_EXPIRED'],
    ['exp twice, past first', `{"exp":1,"exp":${hour}}`],
    ['exp twice, past last', `{"exp":${hour},"exp":1}`],
    ['exp twice, once escaped', `{"\\u0065xp":1,"exp":${hour}}`],
    ['exp in capitals', `{"EXP":${hour}}`],
    ['exp inherited', `{"__proto__":{"exp":${hour}}}`],
    ['exp from the constructor', `{"constructor":{"prototype":{"exp":${hour}}}}`],
    ['nbf a text', `{"exp":${hour},"nbf":"0"}`],
    ['nbf null', `{"exp":${hour},"nbf":null}`],
    ['nbf infinite', `{"exp":${hour},"nbf":1e400}`],
    ['nbf ahead', `{"exp":${hour},"nbf":${hour - 60}}`, 'TOKEN_NOT_YET_VALID'],
    ['iat a text', `{"exp":${hour},"iat":"now"}`],
    ['iat a list', `{"exp":${hour},"iat":[1]}`],
    ['a payload null', 'null'],
    ['a payload list', `[{"exp":${hour}}]`],
    ['an empty list', '[]'],
    ['a payload number', String(hour)],
    ['a payload text', '"ada"'],
    ['a payload true', 'true'],
    ['a payload false', 'false'],
    ['a payload that is no JSON', 'sub=ada'],
    ['single quotes', `{'exp':${hour}}`],
    ['a comment', `{"exp":${hour}/**/}`],
    ['a comma too many', `{"exp":${hour},}`],
    ['a second object behind it', `{"exp":${hour}}{"sub":"eve"}`],
    ['a NUL behind it', `{"exp":${hour}}\0`],
    ['a byte order mark', `\ufeff{"exp":${hour}}`],
    ['UTF-16', Buffer.from(`{"exp":${hour}}`, 'utf16le')],
    ['invalid UTF-8', Buffer.concat([Buffer.from(`{"exp":${hour},"sub":"`), Buffer.from([0xff, 0x22, 0x7d])])],
    ['overlong UTF-8', Buffer.concat([Buffer.from(`{"exp":${hour},"sub":"`), Buffer.from([0xc0, 0xaf, 0x22, 0x7d])])],
    ['a surrogate in UTF-8', Buffer.concat([Buffer.from(`{"exp":${hour},"sub":"`), Buffer.from([0xed, 0xa0, 0x80, 0x22, 0x7d])])],
    ['nothing but open brackets', '['.repeat(5000)],
    ['nothing but open braces', '{"a":'.repeat(2000)],
  ]; // prettier-ignore
  return table.map(([name, payload, code = 'TOKEN_INVALID']): Forgery => [
    name,
    forge({ alg: 'HS256' }, payload, secret),
    code,
  ]);
}

/** What can be done to a good token without its key. */
export function mangled(token: string): Forgery[] {
  const [header, payload, sig] = token.split('.') as [string, string, string];
  const table: Record<string, string> = {
    'nothing but a dot': '.',
    'nothing but two dots': '..',
    'nothing but three dots': '...',
    'one segment': header,
    'two segments': `${header}.${payload}`,
    'four segments': `${token}.${sig}`,
    'four segments, the last empty': `${token}.`,
    'four segments, the first empty': `.${token}`,
    'five segments, as an encrypted token': `${header}.${payload}.${sig}.${sig}.${sig}`,
    'header empty': `.${payload}.${sig}`,
    'payload empty': `${header}..${sig}`,
    'signature empty': `${header}.${payload}.`,
    'header and payload swapped': `${payload}.${header}.${sig}`,
    'signature of another token': `${header}.${base64url(JSON.stringify({ ...good, sub: 'eve' }))}.${sig}`,
    'signature in hexadecimal': `${header}.${payload}.${Buffer.from(sig, 'base64url').toString('hex')}`,
    'signature encoded twice': `${header}.${payload}.${base64url(sig)}`,
    'signature with a byte more': `${header}.${payload}.${base64url(Buffer.concat([Buffer.from(sig, 'base64url'), Buffer.from([0])]))}`,
    'signature all zeros': `${header}.${payload}.${base64url(Buffer.alloc(32))}`,
    'spare bits in the signature': `${header}.${payload}.${withSpareBit(sig)}`,
    'spare bits in the payload': `${header}.${withSpareBit(payload)}.${sig}`,
    'spare bits in the header': `${withSpareBit(header)}.${payload}.${sig}`,
    'padding behind the signature': `${token}=`,
    'padding behind the signature, percent-encoded': `${token}%3D`,
    'padding behind the header': `${header}==.${payload}.${sig}`,
    'padding behind the payload': `${header}.${payload}=.${sig}`,
    'the alphabet of base64': `${header}.${payload}.${sig.replaceAll('-', '+').replaceAll('_', '/')}`,
    'a blank before': ` ${token}`,
    'a blank behind': `${token} `,
    'a blank inside': `${header}.${payload}. ${sig}`,
    'a tab inside': `${header}.\t${payload}.${sig}`,
    'a newline behind': `${token}\n`,
    'a newline inside': `${header}.${payload}\n.${sig}`,
    'a carriage return and newline inside': `${header}.\r\n${payload}.${sig}`,
    'a NUL behind': `${token}\0`,
    'a NUL inside': `${header}.${payload}\0.${sig}`,
    'a NUL, percent-encoded, behind': `${token}%00`,
    'a zero-width blank behind': `${token}\u200b`,
    'a full-width dot': `${header}．${payload}.${sig}`,
    'a percent-encoded dot': `${header}%2E${payload}.${sig}`,
    'a question mark inside': `${header}.${payload}?.${sig}`,
    'quotes around it': `"${token}"`,
    'angle brackets around it': `<${token}>`,
    'its own scheme before it': `Bearer ${token}`,
    'another token behind a comma': `${token},${token}`,
    'JSON serialization, flattened': JSON.stringify({ protected: header, payload, signature: sig }),
    'JSON serialization, general': JSON.stringify({ payload, signatures: [{ protected: header, signature: sig }] }),
    'base64 around the whole': base64url(token),
    'a language template': '${7*7}.{{7*7}}.#{7*7}',
    'a path': '../../../../etc/passwd',
    'SQL': "' OR '1'='1' --",
    'markup': '<script>alert(1)</script>.a.b',
    'header fields': 'a.b.c\r\nSet-Cookie: a=b',
    'letters outside Latin-1': 'ключ.ключ.ключ',
    'letters of Latin-1': 'clé.clé.clé',
  }; // prettier-ignore
  return Object.entries(table)
    .filter(([, mangledToken]) => mangledToken !== token)
    .map(([name, mangledToken]): Forgery => [name, mangledToken, 'TOKEN_INVALID']);
}

/** Tokens with header parameters that bring a key or say where to fetch one, signed with that key. */
export function selfSupplied(kid?: string): Forgery[] {
  const { otherRsa, otherP256 } = keys;
  const jwk = otherRsa.publicKey.export({ format: 'jwk' });
  const ecJwk = otherP256.publicKey.export({ format: 'jwk' });
  const der = otherRsa.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const secretJwk = { kty: 'oct', k: base64url('the secret of the attacker, long enough to be one') };
  const url = 'http://127.0.0.1:9/jwks.json';
  const rsa = (extra: object): string =>
    forge({ alg: 'RS256', ...(kid && { kid }), ...extra }, good, otherRsa.privateKey);
  const table: Record<string, string> = {
    'an embedded RSA jwk': rsa({ jwk }),
    'an embedded RSA jwk of its own kid': rsa({ jwk: { ...jwk, kid: 'x' }, kid: 'x' }),
    'an embedded EC jwk': forge({ alg: 'ES256', jwk: ecJwk }, good, otherP256.privateKey),
    'an embedded secret jwk': forge(
      { alg: 'HS256', jwk: secretJwk },
      good,
      'the secret of the attacker, long enough to be one',
    ),
    'x5c': rsa({ x5c: [der] }),
    x5u: rsa({ x5u: url }),
    'x5t': rsa({ x5t: 'AAAA', 'x5t#S256': 'AAAA' }),
    jku: rsa({ jku: url }),
    'jku that looks like ours': rsa({ jku: 'http://127.0.0.1/.well-known/jwks.json@127.0.0.1:9/' }),
    'a file for a kid': rsa({ kid: 'file:///dev/null' }),
    'no help at all': rsa({}),
    'an HMAC with an empty key': forge({ alg: 'HS256', kid: '../../../../dev/null' }, good, ''),
    'an HMAC with a NUL for a key': forge({ alg: 'HS256', kid: '/dev/zero' }, good, '\0'),
    'an HMAC with a well-known key': forge({ alg: 'HS256' }, good, 'secret'),
  }; // prettier-ignore
  return Object.entries(table).map(([name, token]): Forgery => [name, token, 'TOKEN_INVALID']);
}

/** Tokens for an application that verifies RS256 with the public half of a key. */
export function rsaConfusion(): Forgery[] {
  const { rsa } = keys;
  const spki = pem(rsa.publicKey);
  const pkcs1 = pem(rsa.publicKey, 'pkcs1');
  const jwk = rsa.publicKey.export({ format: 'jwk' });
  const texts: Record<string, string | Uint8Array> = {
    'the PEM text': spki,
    'the PEM text without its last newline': spki.trimEnd(),
    'the PEM text with CRLF': spki.replaceAll('\n', '\r\n'),
    'the PEM text on one line': spki.replaceAll('\n', ''),
    'the PEM text, newlines escaped': spki.replaceAll('\n', '\\n'),
    'the body of the PEM': spki.split('\n').slice(1, -2).join('\n'),
    'the PKCS #1 PEM': pkcs1,
    'the PKCS #1 PEM without its last newline': pkcs1.trimEnd(),
    'the DER bytes': rsa.publicKey.export({ format: 'der', type: 'spki' }),
    'the PKCS #1 DER bytes': rsa.publicKey.export({ format: 'der', type: 'pkcs1' }),
    'the JWK text': JSON.stringify(jwk),
    'the modulus in base64url': jwk.n as string,
    'the modulus': Buffer.from(jwk.n as string, 'base64url'),
  };
  const hmacs = Object.entries(texts).flatMap(([name, key]) =>
    ['HS256', 'HS384', 'HS512'].map((alg): Forgery => [
      `${alg} with ${name}`,
      forge({ alg }, good, key),
      'TOKEN_INVALID',
    ]),
  );
  const swaps = ['RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg): Forgery => [
    `${alg} by the right key, which is pinned to RS256`,
    forge({ alg }, good, rsa.privateKey),
    'TOKEN_INVALID',
  ]);
  return [
    ...hmacs,
    ...swaps,
    ['RS256 in name, PS256 in fact', forge({ alg: 'RS256' }, good, rsa.privateKey, 'PS256'), 'TOKEN_INVALID'],
    ['RS256 in name, RS512 in fact', forge({ alg: 'RS256' }, good, rsa.privateKey, 'RS512'), 'TOKEN_INVALID'],
    ['ES256 of another key', forge({ alg: 'ES256' }, good, keys.otherP256.privateKey), 'TOKEN_INVALID'],
    ['RS256 of another key', forge({ alg: 'RS256' }, good, keys.otherRsa.privateKey), 'TOKEN_INVALID'],
    ['RS256 in name, an HMAC in fact', forge({ alg: 'RS256' }, good, spki, 'HS256'), 'TOKEN_INVALID'],
    ['RS256 with a signature of zeros', `${signingInput({ alg: 'RS256' }, good)}.${base64url(Buffer.alloc(256))}`, 'TOKEN_INVALID'],
    ['RS256 with the payload for a signature', `${signingInput({ alg: 'RS256' }, good)}.${base64url(JSON.stringify(good))}`, 'TOKEN_INVALID'],
  ]; // prettier-ignore
}

/** Tokens for an application that verifies ES256 with the public half of a key. */
export function ecConfusion(): Forgery[] {
  const { p256 } = keys;
  const input = signingInput({ alg: 'ES256' }, good);
  const raw = Buffer.from(signature('ES256', input, p256.privateKey), 'base64url');
  const n = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
  const zero = Buffer.alloc(32);
  const signatures: Record<string, Uint8Array> = {
    'all zeros': Buffer.alloc(64),
    'r zero': Buffer.concat([zero, raw.subarray(32)]),
    's zero': Buffer.concat([raw.subarray(0, 32), zero]),
    'r and s the order of the curve': Buffer.concat([n, n]),
    'DER in place of r and s': derSignature(raw),
    'r and s swapped': Buffer.concat([raw.subarray(32), raw.subarray(0, 32)]),
    'one byte short': raw.subarray(0, 63),
    'one byte long': Buffer.concat([raw, Buffer.from([0])]),
    'leading zeros': Buffer.concat([Buffer.from([0]), raw.subarray(0, 32), Buffer.from([0]), raw.subarray(32)]),
  }; // prettier-ignore
  return [
    ...Object.entries(signatures).map(([name, bytes]): Forgery => [
      `ES256 with ${name}`,
      `${input}.${base64url(bytes)}`,
      'TOKEN_INVALID',
    ]),
    ['HS256 with the PEM text', forge({ alg: 'HS256' }, good, pem(p256.publicKey)), 'TOKEN_INVALID'],
    [
      'HS256 with the DER bytes',
      forge({ alg: 'HS256' }, good, p256.publicKey.export({ format: 'der', type: 'spki' })),
      'TOKEN_INVALID',
    ],
    ['ES384 in name', `${signingInput({ alg: 'ES384' }, good)}.${base64url(raw)}`, 'TOKEN_INVALID'],
    ['ES384 of a P-384 key', forge({ alg: 'ES384' }, good, keys.p384.privateKey), 'TOKEN_INVALID'],
    ['ES256 of another key', forge({ alg: 'ES256' }, good, keys.otherP256.privateKey), 'TOKEN_INVALID'],
    ['RS256 of an RSA key', forge({ alg: 'RS256' }, good, keys.otherRsa.privateKey), 'TOKEN_INVALID'],
  ];
}

/** The same bytes in another spelling: a spare bit of the last character is set. */
export function withSpareBit(segment: string): string {
  const last = BASE64URL.indexOf(segment.at(-1) as string);
  return segment.length % 4 === 0 ? `${segment}A` : segment.slice(0, -1) + (BASE64URL[last | 1] as string);
}

function derSignature(raw: Buffer): Buffer {
  const integer = (bytes: Buffer): Buffer => {
    const body = (bytes[0] as number) & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
    return Buffer.concat([Buffer.from([2, body.length]), body]);
  };
  const body = Buffer.concat([integer(raw.subarray(0, 32)), integer(raw.subarray(32))]);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}
