import { hash } from 'node:crypto';
import type { FrameworkRequest } from '../http/http-exchange.js';
import type { Route } from './route-registry.js';

/** Query parameters as the handler receives them. */
export type QueryParams = Readonly<Record<string, unknown>>;

/**
 * What a link opens, as the handler sees it: the route plus the decoded parameters it receives. Two URLs that
 * reach one handler with the same parameters are the same resource, however they are spelled.
 */
export interface LinkResource {
  readonly route: Route;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: QueryParams;
  readonly hosts: Readonly<Record<string, unknown>>;
}

/** The resource that a request asks for; the token has been taken out of its query before. */
export function requestedResource(
  route: Route,
  request: FrameworkRequest,
  ignoreQuery: ReadonlySet<string>,
): LinkResource {
  const query = Object.entries(request.query ?? {}).filter(([name]) => !ignoreQuery.has(name));
  return {
    route,
    params: request.params ?? {},
    query: Object.fromEntries(query),
    hosts: request.hosts ?? {},
  };
}

/** SHA-256 over the canonical form of a resource, base64url: what a link token carries in its place. */
export function resourceDigest({ route, params, query, hosts }: LinkResource): string {
  return hash('sha256', JSON.stringify([route.id, route.method, params, query, hosts], sorted), 'base64url');
}

/** Members of objects in one order, so that neither the order of a query nor that of an object literal counts. */
function sorted(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members);
}
