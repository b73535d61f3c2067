import { hash } from 'node:crypto';
import type { LinkCookie } from '../http/link-cookies.js';
import { askedAtOnce } from '../shared/hooks.js';
import { addressNetwork } from '../shared/ip-address.js';
import type { Lease } from './lease-record.js';

/** What is known of the client that makes a request. */
export interface ClientDescription {
  /** As the host framework resolves it behind trusted proxies (`req.ip`). */
  readonly address?: string;
  readonly userAgent?: string;
}

/** What the keeper needs to know of a request. */
export interface LeaseClient extends ClientDescription {
  /** The value of the cookie named `leaseCookieName(link.id)`. */
  readonly leaseCookie?: string;
  /** The path as the client knows it; the cookie is confined to it. Default `/`. */
  readonly path?: string;
  /** Adds a cookie to the answer; called before any header is written. */
  setCookie?(cookie: LinkCookie): void;
}

/**
 * SHA-256 in base64url: what the stores know of subjects, clients and cookies, so that a copy of a store
 * opens no link and does not show names or addresses.
 */
export function fingerprint(...parts: string[]): string {
  // Lengths first, so that two different lists of parts never read the same
  const text = parts.map((part) => `${part.length}:${part}`).join('');
  return hash('sha256', text, 'base64url');
}

/**
 * The key by which requests without a lease cookie count as one client: network address and User-Agent.
 * Undefined without an address, since millions of clients share a User-Agent.
 *
 * @param own the application's key, which may be an address, too
 */
export function clientKey(
  client: ClientDescription,
  own?: (client: ClientDescription) => string | undefined,
): string | undefined {
  if (own) {
    const key = askedAtOnce('leases.clientKey', () => own(client));
    return key === undefined ? undefined : fingerprint('client', key);
  }
  const network = addressNetwork(client.address);
  return network === undefined ? undefined : fingerprint(network, client.userAgent ?? '');
}

const COOKIE_VALUE = /^([\w-]{43})\.([\w-]{36})$/;

/** One name for each link, so that the cookies of several links to one path live side by side. */
export function leaseCookieName(linkId: string): string {
  return `ss-lease-${linkId.slice(0, 12)}`;
}

/** The id of a lease: it does not reveal the secret in its cookie to a reader of the store. */
export function leaseId(linkId: string, secret: string): string {
  return fingerprint('lease', linkId, secret);
}

/** @param secret a random UUID */
export function leaseCookieValue(client: string, secret: string): string {
  return `${client}.${secret}`;
}

/** The lease of a link that a cookie names; undefined for what cannot be such a cookie. */
export function leaseOfCookie(linkId: string, value = ''): Pick<Lease, 'id' | 'client'> | undefined {
  const [, client, secret] = COOKIE_VALUE.exec(value) ?? [];
  return client === undefined ? undefined : { client, id: leaseId(linkId, secret!) };
}
