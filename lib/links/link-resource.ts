import { hash } from 'node:crypto';
import type { QueryParams } from './link.js';
import type { Route } from './route-registry.js';

/**
 * What a link opens, as the handler sees it: the route plus the decoded parameters it receives. Two URLs that
 * reach one handler by one of its paths with the same parameters are the same resource, however they are
 * spelled.
 */
export interface LinkResource {
  readonly route: Pick<Route, 'id' | 'method'>;
  /** The path of the route, as the router has it. */
  readonly pattern: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: QueryParams;
  readonly hosts: Readonly<Record<string, unknown>>;
  /** Names of parameters that may have any value, and are not in `params`. */
  readonly free?: readonly string[];
}

/** SHA-256 over the canonical form of a resource, base64url: what a link token carries in its place. */
export function resourceDigest({ route, pattern, params, query, hosts, free = [] }: LinkResource): string {
  const named = [route.id, route.method, pattern, params, query, hosts];
  return digestOf(free.length > 0 ? [...named, free] : named);
}

export function digestOf(value: unknown): string {
  return hash('sha256', canonical(value), 'base64url');
}

/** JSON with the members of objects in one order, so that two spellings of one thing are one text. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) {
      return member;
    }
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
