import { fingerprint } from './fingerprint.js';
import { randomText } from './random.js';

/** The cookie that makes later requests part of a lease. `Secure` is for the caller to decide. */
export interface LeaseCookie {
  readonly name: string;
  readonly value: string;
  readonly httpOnly: true;
  readonly sameSite: 'lax';
  /** The path of the link, so that the cookie goes nowhere else. */
  readonly path: string;
  /** Seconds for which the lease can still be used. */
  readonly maxAge: number;
}

const VALUE = /^[\w-]{24}$/;

/** One name for each link, so that the cookies of several links to one path live side by side. */
export function leaseCookieName(linkId: string): string {
  return `ss-lease-${fingerprint(linkId).slice(0, 12)}`;
}

/** 144 random bits. */
export function newLeaseCookieValue(): string {
  return randomText(18);
}

/**
 * The lease that a cookie stands for: found only with the link that it was set for, and not to be
 * turned back into the cookie by who reads the store. Undefined for what never was such a cookie.
 */
export function leaseOfCookie(linkId: string, value: string | undefined): string | undefined {
  return value !== undefined && VALUE.test(value) ? fingerprint('lease', linkId, value) : undefined;
}

/**
 * A `Set-Cookie` value (RFC 6265 §4.1). Of a site's many cookies Chromium drops those of low priority first, so that
 * the leases of 200 links do not cost the user the session; other browsers ignore the attribute.
 */
export function serializeLeaseCookie(cookie: LeaseCookie, secure: boolean): string {
  // Only what RFC 6265 forbids in a path: the rest of an URL's path is ASCII as it comes.
  const path = cookie.path.replace(/[;\s\p{Cc}]/gu, (c) => encodeURIComponent(c));
  const attributes = [`Path=${path}`, `Max-Age=${cookie.maxAge}`, 'HttpOnly', 'SameSite=Lax', 'Priority=Low'];
  return [`${cookie.name}=${cookie.value}`, ...attributes, ...(secure ? ['Secure'] : [])].join('; ');
}
