import { describe, expect, it } from 'vitest';
import { DEFAULT_DELIVERY, resolveDelivery } from '../../lib/delivery/options.js';
import { Download } from '../../lib/delivery/download.js';

describe('delivery options', () => {
  it('are the defaults unless set', () => {
    expect(resolveDelivery()).toEqual(DEFAULT_DELIVERY);
    expect(resolveDelivery(undefined, {}, { maxRanges: undefined })).toEqual(DEFAULT_DELIVERY);
  });

  it('of the route win over those of the module', () => {
    expect(resolveDelivery({ maxRanges: 4, ranges: false }, { maxRanges: 2 })).toMatchObject({
      maxRanges: 2,
      ranges: false,
    });
  });

  it.each([
    [{ cachecontrol: 'x' }, /delivery: there is no option "cachecontrol".*"cacheControl"/],
    [{ toString: 1 }, /there is no option "toString"/],
    [{ disposition: 'download' }, /write 'attachment' or 'inline'/],
    [{ cacheControl: 'a\r\nb' }, /cacheControl.*write/],
    [{ cacheControl: true }, /cacheControl.*false/],
    [{ maxRanges: 0 }, /whole number/],
    [{ maxRanges: '16' }, /whole number/],
    [{ exposeHeaders: 'ETag' }, /array/],
    [{ exposeHeaders: ['a b'] }, /array/],
    [{ crossOriginResourcePolicy: 'none' }, /same-origin/],
    [{ offload: { type: 'x-accel-redirect', root: '/srv' } }, /prefix: '\/protected\/'/],
    [{ offload: { type: 'x-accel-redirect', root: 'srv', prefix: '/p/' } }, /prefix/],
    [{ offload: { type: 'x-accel-redirect', root: '/srv', prefix: '/p' } }, /prefix/],
    [{ offload: { type: 'x-sendfile', root: '/srv', prefix: '/p/' } }, /x-sendfile/],
    [{ offload: true }, /offload/],
    [{ ranges: () => true }, /delivery.ranges: write true or false/],
    [{ stallTimeout: '60' }, /stallTimeout: .*is not a duration.*'5m'/],
    [{ stallTimeout: -1 }, /stallTimeout: .*is not a duration.*'5m'/],
    [{ stallTimeout: true }, /stallTimeout: .*true.*is not a duration/],
  ])('%j are refused, with advice', (options, message) => {
    expect(() => resolveDelivery(options as never)).toThrow(TypeError);
    expect(() => resolveDelivery(options as never)).toThrow(message);
  });
});

describe('Download', () => {
  it.each([
    [() => Download.file(1 as never), /takes a path/],
    [() => Download.file('a', { name: 'x' } as never), /there is no option "name".*"filename"|Known are/],
    [() => Download.file('a', { root: '' }), /root/],
    [() => Download.file('a', { type: 'a\nb' }), /media type/],
    [() => Download.file('a', { offload: {} as never }), /offload/],
    [() => Download.file('a', { digest: { sha256: 'x' } as never }), /digest: .*"sha256".*"sha-256"/],
    [() => Download.file('a', { digest: { md5: 'x' } as never }), /Known are sha-256, sha-512/],
    [() => Download.file('a', { digest: null as never }), /digest: give an object/],
    [() => Download.file('a', { digest: { 'sha-256': null as never } }), /digest.sha-256: give the 32 bytes/],
    [() => Download.file('a', { digest: { 'sha-256': 'ab' } }), /sha256.*base64 or hex/],
    [
      () => Download.file('a', { digest: { 'sha-512': Buffer.alloc(32) } }),
      /digest.sha-512: give the 64 bytes/,
    ],
    [() => Download.file('a', { digest: { 'sha-256': `${'A'.repeat(43)}=-2` } }), /digest.sha-256: give/],
    [() => Download.buffer('text' as never), /Buffer.from/],
    [() => Download.buffer(Buffer.alloc(1), { etag: 'a b' }), /entity tag/],
    [() => Download.buffer(Buffer.alloc(1), { etag: 5 as never }), /etag: give/],
    [() => Download.buffer(Buffer.alloc(1), { lastModified: new Date('x') }), /valid Date/],
    [() => Download.source({ open: () => null } as never), /Download.stream\(\)/],
    [() => Download.source({ length: -1, open: () => null as never }), /length/],
    [() => Download.source({ length: 1, etag: '"a"b"', open: () => null as never }), /entity tag/],
    [() => Download.stream('x' as never), /async iterable/],
    [() => Download.stream((async function* () {})(), { length: 1.5 }), /whole number/],
    [() => Download.redirect('javascript:alert(1)'), /takes a URL/],
    [() => Download.redirect('mailto:ada@example.com'), /takes a URL/],
    [() => Download.redirect('https://'), /takes a URL/],
    [() => Download.redirect(''), /takes a URL/],
    [() => Download.redirect(undefined as never), /takes a URL/],
    [() => Download.redirect('/a', { cacheControl: 'a\nb' }), /cacheControl: give/],
    [() => Download.redirect('/a', { status: 301 } as never), /there is no option "status"/],
  ])('refuses what cannot be (%#)', (make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});
