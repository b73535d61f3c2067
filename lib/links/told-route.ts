import { RequestMethod } from '@nestjs/common';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { refuseUnknown } from '../shared/unknown-option.js';
import { type AdapterRouter, type RouteSyntax, StandInRouter } from './adapter-router.js';
import type { QueryParams } from './link-resource.js';
import type { Route } from './route-registry.js';

/** Where a named route of another process is served. */
export interface ToldRouteOptions {
  /** The whole path, global prefix and version included, as the adapter has it: `/api/files/:id`. */
  path: string;
  /** `'POST'` for a handler with `@Post()`. Default `'GET'`. */
  method?: 'GET' | 'POST';
  /**
   * The adapter of that process. Default: either; then only parameters that both read alike can be given, of
   * 100 characters at most.
   */
  adapter?: RouteSyntax;
}

/** A named route, with the routers that may be in front of it. */
export interface ToldRoute {
  readonly route: Route;
  readonly routers: readonly AdapterRouter[];
}

/** The most members of a list that every query parser reads as a list. */
const MAX_LIST = 20;
const MAX_PARAMETERS = 500;

/** @throws DownloadAuthConfigurationError for what is no path */
export function resolveToldRoutes(
  routes: Readonly<Record<string, string | ToldRouteOptions>> | undefined = {},
): ReadonlyMap<string, ToldRoute> {
  if (typeof routes !== 'object' || routes === null || Array.isArray(routes)) {
    throw new DownloadAuthConfigurationError(
      "links.routes: give an object of names and paths, such as { file: '/api/files/:id' }.",
    );
  }
  return new Map(Object.entries(routes).map(([name, told]) => [name, resolveToldRoute(name, told)]));
}

function resolveToldRoute(name: string, told: string | ToldRouteOptions): ToldRoute {
  const place = `links.routes.${name}`;
  const options = typeof told === 'string' ? { path: told } : told;
  refuseUnknown(options, ['path', 'method', 'adapter'], place);
  const { path, method = 'GET', adapter } = options;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new DownloadAuthConfigurationError(
      `${place}: give the whole path of the route, such as '/api/files/:id'.`,
    );
  }
  if (method !== 'GET' && method !== 'POST') {
    throw new DownloadAuthConfigurationError(`${place}.method: write 'GET' or 'POST'.`);
  }
  if (adapter !== undefined && adapter !== 'express' && adapter !== 'fastify') {
    throw new DownloadAuthConfigurationError(`${place}.adapter: write 'express' or 'fastify'.`);
  }
  const route: Route = {
    id: name,
    name,
    method,
    label: name,
    isDownload: true,
    requestMethod: RequestMethod[method],
    patterns: [path],
    hosts: [],
    versions: undefined,
  };
  const adapters = adapter ? [adapter] : adaptersOf(path);
  return { route, routers: adapters.map((syntax) => new StandInRouter(syntax, method, path)) };
}

/** The adapters whose syntax a path can be. */
function adaptersOf(path: string): RouteSyntax[] {
  if (/\*\w|[{}]/.test(path)) {
    return ['express'];
  }
  return /\*|[()?]/.test(path) ? ['fastify'] : ['express', 'fastify'];
}

/**
 * @throws DownloadAuthConfigurationError for a query that the parser of another process may read otherwise
 */
export function requireCommonQuery(query: QueryParams): void {
  const problem = Object.entries(query).find(
    ([name, value]) =>
      /[[\]]|^__proto__$/.test(name) ||
      (Array.isArray(value)
        ? value.length > MAX_LIST || value.some((one) => typeof one === 'object')
        : typeof value === 'object'),
  );
  if (problem || Object.values(query).flat().length > MAX_PARAMETERS) {
    throw new DownloadAuthConfigurationError(
      `query${problem ? `.${problem[0]}` : ''}: the parser of the process that serves the route may read it otherwise. ` +
        `Give texts and lists of at most ${MAX_LIST}, and names without brackets.`,
    );
  }
}
