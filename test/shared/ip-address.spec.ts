import { describe, expect, it } from 'vitest';
import { addressWithin, normalizeBlock } from '../../lib/shared/ip-address.js';

describe('addressWithin', () => {
  it.each([
    ['192.0.2.1', '192.0.2.0/24', true],
    ['192.0.3.1', '192.0.2.0/24', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.2', '192.0.2.1', false],
    ['192.0.2.1', '0.0.0.0/0', true],
    ['::ffff:192.0.2.1', '192.0.2.0/24', true],
    ['::FFFF:c000:0201', '192.0.2.0/24', true],
    ['::ffff:192.0.3.1', '192.0.2.0/24', false],
    ['192.0.2.1', '::ffff:192.0.2.0/120', true],
    ['192.0.2.1', '::/0', false],
    ['2001:db8::1', '2001:db8::/32', true],
    ['2001:db9::1', '2001:db8::/32', false],
    ['2001:db8::1', '0.0.0.0/0', false],
    ['[2001:db8::1]', '2001:db8::1', true],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['', '0.0.0.0/0', false],
    [undefined, '0.0.0.0/0', false],
    ['localhost', '0.0.0.0/0', false],
    ['127.1', '127.0.0.0/8', false],
    ['0x7f000001', '127.0.0.0/8', false],
    ['0300.0.2.1', '192.0.0.0/16', false],
    ['192.0.2.1, 10.0.0.1', '0.0.0.0/0', false],
    ['192.0.2.1:443', '0.0.0.0/0', false],
  ])('%s in %s: %s', (address, block, expected) => {
    expect(addressWithin(address, block)).toBe(expected);
  });

  it('takes several blocks', () => {
    expect(addressWithin('10.1.2.3', ['192.0.2.0/24', '10.0.0.0/8'])).toBe(true);
    expect(addressWithin('11.1.2.3', ['192.0.2.0/24', '10.0.0.0/8'])).toBe(false);
    expect(addressWithin('10.1.2.3', [])).toBe(false);
  });

  it.each([
    '',
    '10.0.0.0/33',
    '2001:db8::/129',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10/8',
    'any',
    '::ffff:10.0.0.0/95',
  ])('is an error for the block %j', (block) => {
    expect(() => addressWithin('10.0.0.1', block)).toThrow(TypeError);
    expect(() => normalizeBlock(block)).toThrow(/not a CIDR block/);
  });

  it('spells blocks in one way', () => {
    expect(normalizeBlock('2001:0db8:0::/32')).toBe('2001:db8::/32');
    expect(normalizeBlock('::ffff:192.0.2.0/120')).toBe('192.0.2.0/24');
    expect(normalizeBlock('192.0.2.1')).toBe('192.0.2.1/32');
  });
});
