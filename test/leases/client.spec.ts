import { describe, expect, it } from 'vitest';
import {
  clientKey,
  fingerprint,
  leaseCookieName,
  leaseCookieValue,
  leaseId,
  leaseOfCookie,
} from '../../lib/leases/client.js';
import { addressNetwork } from '../../lib/shared/ip-address.js';

describe('client key', () => {
  it('is of the IPv4 address, however it is written', () => {
    expect(addressNetwork('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(clientKey({ address: '::ffff:192.0.2.1' })).toBe(clientKey({ address: '192.0.2.1' }));
    expect(clientKey({ address: '192.0.2.1' })).not.toBe(clientKey({ address: '192.0.2.2' }));
  });

  it('is of the first 64 bits of an IPv6 address', () => {
    expect(addressNetwork('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(addressNetwork('2001:db8:1:2::')).toBe('2001:db8:1:2::/64');
    expect(addressNetwork('2001:db8:1:3::')).not.toBe('2001:db8:1:2::/64');
  });

  it('takes no address for another by what stands beside it', () => {
    expect(clientKey({ address: '192.0.2.1', userAgent: '2' })).not.toBe(
      clientKey({ address: '192.0.2.12', userAgent: '' }),
    );
  });

  it('is none without an address', () => {
    expect(clientKey({ userAgent: 'curl' })).toBeUndefined();
    expect(clientKey({ address: 'unknown', userAgent: 'curl' })).toBeUndefined();
  });
});

describe('lease cookie', () => {
  const client = fingerprint('ada');
  const secret = 's'.repeat(36);

  it('names the client and its lease, of its own link only, without telling its secret', () => {
    const lease = { client, id: leaseId('link-1', secret) };
    const value = leaseCookieValue(client, secret);
    expect(leaseOfCookie('link-1', value)).toEqual(lease);
    expect(leaseOfCookie('link-2', value)?.id).not.toBe(lease.id);
    expect(lease.id).not.toContain(secret);
  });

  const known = leaseCookieValue(client, secret);

  it.each([undefined, '', 'short', secret, known.slice(1), `${known}a`, ` ${known}`, `${known}\n`])(
    'is not %j',
    (value) => expect(leaseOfCookie('link-1', value)).toBeUndefined(),
  );

  it('is named after its link, and no longer than a browser sends 40 of', () => {
    expect(leaseCookieName('x'.repeat(100))).toMatch(/^ss-lease-x{12}$/);
    expect(leaseCookieName('link-1')).not.toBe(leaseCookieName('link-2'));
  });
});
