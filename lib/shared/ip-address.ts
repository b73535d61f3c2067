import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { DownloadAuthConfigurationError } from './configuration-error.js';

/** The network of one subscriber: an IPv4 address, or the first 64 bits of an IPv6 one. */
export function addressNetwork(address: string | undefined): string | undefined {
  // Not parsed, which would cost more than the rest of what is asked about a client
  const ipv4 = address?.replace(/^::ffff:(?=\d+\.)/i, '') ?? '';
  if (isIPv4(ipv4)) {
    return ipv4;
  }
  const parsed = parseAddress(address);
  if (parsed?.kind() === 'ipv6') {
    const words = (parsed as ipaddr.IPv6).parts.slice(0, 4);
    return `${words.map((word) => word.toString(16)).join(':')}::/64`;
  }
  return parsed?.toString();
}

/**
 * Whether an address lies in one of the blocks. An IPv4 address that a dual-stack socket writes as IPv6
 * (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is the IPv4 address; a zone (`fe80::1%eth0`) does not matter. Text
 * that is not an IP address matches no block.
 *
 * @param blocks CIDR notation, or single addresses
 * @throws DownloadAuthConfigurationError for a block that is not in CIDR notation
 */
export function addressWithin(address: string | undefined, blocks: string | readonly string[]): boolean {
  const ranges = (typeof blocks === 'string' ? [blocks] : blocks).map(parseBlock);
  const parsed = parseAddress(address);
  return (
    parsed !== undefined &&
    ranges.some(([base, bits]) => base.kind() === parsed.kind() && parsed.match(base, bits))
  );
}

/**
 * The block in canonical spelling, so that a mistake shows when a link is minted, not when it is used.
 *
 * @throws DownloadAuthConfigurationError for a block that is not in CIDR notation
 */
export function normalizeBlock(block: string): string {
  const [base, bits] = parseBlock(block);
  return `${base.toString()}/${bits}`;
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

function parseAddress(address: string | undefined): Address | undefined {
  if (address === undefined) {
    return undefined;
  }
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  // `isValid` would also take the octal, hexadecimal and short forms of inet_aton, which no socket writes
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) {
    return undefined;
  }
  return ipaddr.process(bare);
}

function parseBlock(block: string): [Address, number] {
  const [, text = '', length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(block) ?? [];
  const mapped =
    text.includes(':') && ipaddr.IPv6.isValid(text) && ipaddr.IPv6.parse(text).isIPv4MappedAddress();
  const base = parseAddress(text);
  const most = base?.kind() === 'ipv6' ? 128 : 32;
  const bits = length === undefined ? most : Number(length) - (mapped ? 96 : 0);
  if (!base || bits < 0 || bits > most) {
    throw new DownloadAuthConfigurationError(
      `${JSON.stringify(block)} is not a CIDR block; write for instance 192.0.2.0/24 or 2001:db8::/32.`,
    );
  }
  return [base, bits];
}
