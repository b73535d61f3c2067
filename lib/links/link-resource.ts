import { hash } from 'node:crypto';
import type { QueryParams } from './link.js';
import type { LinkedRoute } from './nest-routes.js';
import { ANY_IN_PATH } from './route-template.js';
import type { FilledRoute } from './route-template.js';

/**
 * What a link opens, as the handler sees it: the route plus the decoded parameters it receives. Two URLs that
 * reach one handler by one of its paths with the same parameters are the same resource, however they are
 * spelled.
 */
export interface LinkResource {
  readonly route: LinkedRoute;
  /** The path of the route, as the router has it. */
  readonly pattern: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: QueryParams;
  readonly hosts: Readonly<Record<string, unknown>>;
  /** Names of parameters that may have any value, in order. */
  readonly free?: readonly string[];
}

/** SHA-256 over the canonical form of a resource, base64url: what a link token carries in its place. */
export function resourceDigest({ route, pattern, params, query, hosts, free = [] }: LinkResource): string {
  const bound = free.length > 0 ? without(params, new Set(free)) : params;
  return digestOf([route.id, route.method, pattern, bound, query, hosts, free]);
}

function digestOf(value: unknown): string {
  return hash('sha256', canonical(value), 'base64url');
}

/** JSON with the members of objects in one order, so that two spellings of one thing are one text. */
export function canonical(value: unknown): string {
  return JSON.stringify(sorted(value));
}

/** Much faster than a replacer of `JSON.stringify()`. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(sorted);
  }
  // a Date becomes a text
  if (typeof value !== 'object' || value === null || 'toJSON' in value) {
    return value;
  }
  const members = Object.entries(value).map(([name, member]) => [name, sorted(member)] as const);
  return members.length > 0 ? Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1))) : value;
}

/** What a link is bound to, of parameters that have any value, or of a query that is ignored in part. */
export function without(members: QueryParams, names: ReadonlySet<string>): QueryParams {
  return Object.fromEntries(Object.entries(members).filter(([name]) => !names.has(name)));
}

/** What a link to a collection says of it. */
export interface Collection {
  /** The names of its free parameters, as handlers receive them. */
  readonly free: readonly string[];
  /** Where it has several routes: the digest of each, with the parameters that are not free. */
  readonly of?: readonly string[];
  /** What the paths of its URLs begin with, as browsers see them: where the companion cookie is sent. */
  readonly path: string;
}

/** A collection of routes, and the digest that stands for it; a proxy strips `publicPath` from requests. */
export function collectionOf(
  members: readonly (Pick<FilledRoute, 'free' | 'fixed'> & { readonly resource: string })[],
  publicPath: string,
): { resource: string; collection: Collection } {
  const of = members.map(({ resource }) => resource).sort();
  const [first = [], ...others] = members.map(({ fixed }) => fixed);
  const differs = first.findIndex(
    (segment, index) => segment.includes(ANY_IN_PATH) || others.some((other) => other[index] !== segment),
  );
  const path = publicPath + first.slice(0, differs === -1 ? undefined : differs).join('/');
  const free = [...new Set(members.flatMap((member) => member.free))].sort();
  const shared = { free, path: path.replace(/\/$/, '') || '/' };
  return of.length === 1
    ? { resource: of[0] as string, collection: shared }
    : { resource: digestOf(of), collection: { ...shared, of } };
}

/** Whether a request is for something in a collection, for which `whole` stands; `path` as it is spelled. */
export function isInCollection(
  whole: string,
  { free: names, of = [whole] }: Collection,
  resource: LinkResource,
  path: string,
): boolean {
  const free = Object.keys(resource.params).filter((name) => names.includes(name));
  return (
    free.every((name) => isPlain(name, resource.params[name], path)) &&
    of.includes(resourceDigest({ ...resource, free: free.sort() }))
  );
}

/** Whether a free parameter is as links have them: it climbs to no other folder, and hides no separator. */
function isPlain(name: string, value: unknown, path: string): boolean {
  if (name !== '*') {
    return Array.isArray(value) ? value.every(isSegment) : isSegment(value);
  }
  const segments = String(value).split('/');
  // Fastify hands encoded slashes of a wildcard over like those between its segments
  const spelled = path.split('/').slice(-segments.length);
  return segments.every(isSegment) && !spelled.some((segment) => /%2f/i.test(segment));
}

function isSegment(segment: unknown): boolean {
  return typeof segment === 'string' && /^(?!\.{1,2}$)[^/\\\0]+$/.test(segment);
}
