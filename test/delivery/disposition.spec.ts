import { parse } from 'content-disposition';
import { describe, expect, it } from 'vitest';
import { contentDisposition, repairDisposition } from '../../lib/delivery/disposition.js';

/** The name a client that knows RFC 8187 reads. */
const saved = (name: string) => parse(contentDisposition('attachment', name)).parameters.filename;

describe('Content-Disposition', () => {
  it.each([
    ['report.pdf', 'attachment; filename=report.pdf'],
    ['annual report.pdf', 'attachment; filename="annual report.pdf"'],
    ['naïve.txt', "attachment; filename=naive.txt; filename*=UTF-8''na%C3%AFve.txt"],
    ['日本.txt', "attachment; filename=__.txt; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"],
    ['a"b.txt', "attachment; filename=a_b.txt; filename*=UTF-8''a%22b.txt"],
    ['50%25.txt', "attachment; filename=50_25.txt; filename*=UTF-8''50%2525.txt"],
    ["it's (1)*.txt", 'attachment; filename="it\'s (1)*.txt"'],
    ['', 'attachment'],
    ['...', 'attachment'],
    ['  ', 'attachment'],
  ])('for %j is written as %s', (name, value) => {
    expect(contentDisposition('attachment', name)).toBe(value);
  });

  it.each([
    ['a/b\\c.txt', 'a_b_c.txt'],
    ['../../etc/passwd', '.._.._etc_passwd'],
    ['a\r\nSet-Cookie: x=1.txt', 'a__Set-Cookie: x=1.txt'],
    ['a\0b\x7f\x9f.txt', 'a_b__.txt'],
    ['\u202Efdp.exe', 'fdp.exe'],
    ['\u200Fשלום.txt', 'שלום.txt'],
    ['👩‍👩‍👧 family.png', '👩‍👩‍👧 family.png'],
    ['a\ud800b.txt', 'a\ufffdb.txt'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['com1.tar.gz', '_com1.tar.gz'],
    ['console.log', 'console.log'],
    ['trailing. .', 'trailing'],
    ['.env', '.env'],
    ['~tilde.txt', '~tilde.txt'],
    ['a\u2028b.txt', 'a_b.txt'],
  ])('makes %j the name %j', (name, expected) => {
    expect(saved(name)).toBe(expected);
  });

  it.each([
    ['x'.repeat(10_000) + '.pdf', '.pdf'],
    ['😀'.repeat(10_000) + '.tar', '.tar'],
    ['é'.repeat(10_000), ''],
    ['"'.repeat(10_000), ''],
    ['.'.repeat(10_000) + 'x', 'x'],
    [' '.repeat(10_000) + '.', undefined],
  ])('shortens a long name and keeps its extension (%#)', (name, extension) => {
    const result = saved(name);
    if (extension === undefined) {
      expect(result).toBeUndefined();
    } else {
      expect(Buffer.byteLength(result ?? '')).toBeLessThanOrEqual(240);
      expect(result?.endsWith(extension)).toBe(true);
      expect(contentDisposition('attachment', name).length).toBeLessThan(2000);
    }
  });

  it('is a legal field value for every code unit', () => {
    const codes = Array.from({ length: 0x10000 }, (_, code) => code);
    const illegal = codes.filter((code) => {
      const value = contentDisposition('inline', `a${String.fromCharCode(code)}b.txt`);
      return !/^[\x20-\x7e]+$/.test(value);
    });
    expect(illegal).toEqual([]);
  });

  it.each([
    ['attachment; filename="a.txt"', 'attachment; filename="a.txt"'],
    ['form-data; name=x', 'form-data; name=x'],
    [
      'attachment; filename="na\u00efve.txt"',
      "attachment; filename=naive.txt; filename*=UTF-8''na%C3%AFve.txt",
    ],
    ['inline; filename="日.txt"', "inline; filename=_.txt; filename*=UTF-8''%E6%97%A5.txt"],
    ['attachment; filename="a\r\nX: y"', 'attachment; filename="a__X: y"'],
    ['\r\n', 'attachment'],
  ])('that a handler wrote as %j goes out as %s', (value, expected) => {
    expect(repairDisposition(value)).toBe(expected);
  });
});
