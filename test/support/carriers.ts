import type { RequestOptions } from './http-client.js';

/** One way of a token to the server. */
export interface Carrier {
  readonly name: 'header' | 'query' | 'cookie' | 'form';
  /** The request that carries a token to a path; `undefined` where this way cannot carry such a text. */
  carry(path: string, token: string): { path: string; options: RequestOptions } | undefined;
}

/**
 * What HTTP lets through in a field value, less the blanks at its ends, which belong to the field and not to
 * the token.
 */
const FIELD_VALUE = /^(?! )[\x20-\x7e\x80-\xff]+(?<! )$/;

export const header: Carrier = {
  name: 'header',
  carry: (path, token) =>
    FIELD_VALUE.test(token)
      ? { path, options: { headers: { authorization: `Bearer ${token}` } } }
      : undefined,
};

export const query: Carrier = {
  name: 'query',
  carry: (path, token) =>
    token.isWellFormed() ? { path: `${path}?ss-tok=${encodeURIComponent(token)}`, options: {} } : undefined,
};

export const cookie: Carrier = {
  name: 'cookie',
  carry: (path, token) =>
    token.isWellFormed()
      ? { path, options: { headers: { cookie: `ss-tok=${encodeURIComponent(token)}` } } }
      : undefined,
};

export const form: Carrier = {
  name: 'form',
  carry: (path, token) =>
    token.isWellFormed()
      ? {
          path,
          options: {
            method: 'POST',
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: `ss-tok=${encodeURIComponent(token)}`,
          },
        }
      : undefined,
};

export const CARRIERS = [header, query, cookie, form] as const;
