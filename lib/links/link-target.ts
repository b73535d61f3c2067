import type { Type } from '@nestjs/common';
import { isTokenName } from '../http/redact-url.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { RouteMatch } from './adapter-router.js';
import type { LinkTarget, QueryParams } from './link.js';
import { NGSW_BYPASS } from './options.js';
import type { LinkSettings } from './options.js';
import { canonical, collectionOf, resourceDigest, without } from './link-resource.js';
import type { Collection } from './link-resource.js';
import type { LinkedRoute, Route } from './nest-routes.js';
import { hostOf } from './route-registry.js';
import type { ReachedRoute, RouteRegistry } from './route-registry.js';
import { normalizedQuery, queryString, templateOf } from './route-template.js';
import type { FilledRoute } from './route-template.js';

/** Where a link leads. */
export interface LocatedTarget {
  readonly route: LinkedRoute;
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly query: QueryParams;
  /** The digest of the resource. */
  readonly resource: string;
  /** Where the link opens more than one resource. */
  readonly collection?: Collection;
  /** The names of free parameters without a value, which a URL would need. */
  readonly unset: readonly string[];
}

/** Finds out whether a URL will reach its handler, and what the handler will receive. */
export class TargetLocator {
  constructor(
    private readonly options: LinkSettings,
    private readonly registry: RouteRegistry,
  ) {}

  /** @param names of methods of the controller; without one, of routes */
  locate(controller: Type | undefined, names: string | readonly string[], target: LinkTarget): LocatedTarget {
    const routes = [names].flat().map((name, index) => {
      const own = index === 0 ? target : { ...target, path: undefined };
      return controller ? this.served(this.registry.byHandler(controller, name), own) : this.named(name, own);
    });
    const isCollection = typeof names !== 'string' || target.free !== undefined;
    if (isCollection) {
      checkMembers(routes);
    }
    this.checkParams(target, routes);
    const members = routes.map((route) => this.member(route, target));
    const start = members[0] as LocatedTarget;
    if (!isCollection) {
      return start;
    }
    return { ...start, ...collectionOf(members, this.options.links.publicPath) };
  }

  /** A route that is not of this application is one of `links.routes`. */
  private named(name: string, target: LinkTarget): ReachedRoute {
    const { registry } = this;
    const { routes } = this.options.links;
    const route = registry.byName(name);
    const told = routes.get(name);
    if (route && (registry.router || !told)) {
      return this.served(route, target);
    }
    if (told) {
      return told;
    }
    const names = [
      ...new Set([...registry.list.flatMap(({ options }) => options?.name ?? []), ...routes.keys()]),
    ];
    throw new DownloadAuthConfigurationError(
      `No route is named ${JSON.stringify(name)}. ` +
        (names.length > 0 ? `There are: ${names.join(', ')}. ` : '') +
        `Write @StreamDownload({ name: '${name}' }), or links: { routes: { ${name}: '/path/:id' } } where another process serves it.`,
    );
  }

  private served(route: Route, { path, hosts = {} }: LinkTarget): ReachedRoute {
    if ((route.options?.auth ?? this.options.auth) === false) {
      throw new DownloadAuthConfigurationError(
        `${route.label} would not look at a link, because its auth is false. Write @StreamDownload({ auth: 'links' }), ` +
          'or auth: YourGuard.',
      );
    }
    const other = this.registry.guardedElsewhere.get(route.controller);
    if (other !== undefined) {
      throw new DownloadAuthConfigurationError(
        `${route.label} would refuse the link: another instance of DownloadAuthModule guards it, ${other}. ` +
          'Inject DownloadLinks where that instance is imported.',
      );
    }
    const pattern = this.registry.pathOf(route, path);
    const host = hostOf(route, hosts, this.options.links.publicHost);
    return { route, pattern, host, readers: [(url) => this.registry.read(route, pattern, url)] };
  }

  /** Each route of a collection ignores parameters that others have. */
  private checkParams({ params = {}, free = [] }: LinkTarget, routes: readonly ReachedRoute[]): void {
    const patterns = routes.map(({ pattern }) => pattern);
    const templates = patterns.map(templateOf);
    for (const name of [...Object.keys(params), ...free]) {
      if (!templates.some((template) => template.has(name))) {
        const known = [...new Set(templates.flatMap(({ names }) => names))];
        throw new DownloadAuthConfigurationError(
          `${free.includes(name) ? 'free' : 'params'}: ${patterns.join(', ')} has no parameter ${name}. ` +
            `It has ${known.join(', ') || 'none'}.`,
        );
      }
    }
  }

  /** Fills the pattern in, and makes sure that the handler receives what was given. */
  private member(reached: ReachedRoute, target: LinkTarget): LocatedTarget & FilledRoute {
    const { route, pattern, host, readers } = reached;
    const { hosts = {} } = target;
    const { tokenNames, links } = this.options;
    const filled = templateOf(pattern).fill(target);
    const bypass = links.ngswBypass ? { [NGSW_BYPASS]: 'true' } : {};
    const query = normalizedQuery({ ...target.query, ...bypass });
    if (Object.keys(query).some((name) => isTokenName(name, tokenNames.query))) {
      throw new DownloadAuthConfigurationError(`query: ${tokenNames.query} is the token's own parameter.`);
    }
    const url = urlOf(route, filled.path + queryString(query), host);
    let params = {};
    for (const read of readers) {
      const match = read(url);
      checkMatch(reached, filled, query, match);
      params = match.params;
    }
    const bound = without(query, links.ignoreQuery);
    const resource = resourceDigest({ route, pattern, params, query: bound, hosts, free: filled.free });
    return { ...filled, route, query, resource };
  }
}

/** Compares what the handler would receive with what was given. */
function checkMatch(
  { route, pattern }: ReachedRoute,
  { path, values }: FilledRoute,
  query: QueryParams,
  match: RouteMatch | undefined,
): asserts match is RouteMatch {
  if (!match) {
    throw new DownloadAuthConfigurationError(
      `${route.label}: the router would not find ${pattern} for ${shown(path)}. A parameter is too long ` +
        '(Fastify: routerOptions.maxParamLength, 100 characters by default), or does not fit the expression of the route.',
    );
  }
  const { params } = match;
  if (templateOf(pattern).names.some((name) => text(params[name]) !== text(values[name]))) {
    throw new DownloadAuthConfigurationError(
      `params: the router would read ${shown(params)} out of ${path} (${pattern}), not ${shown(values)}. ` +
        'Give each parameter a segment of the path, or take other values.',
    );
  }
  if (canonical(match.query) !== canonical(query)) {
    throw new DownloadAuthConfigurationError(
      `query: the application's query parser would read ${shown(match.query)}, not ${shown(query)}. ` +
        'Give names without brackets, short lists and no deeper objects than it reads.',
    );
  }
}

/** Wildcards are segments on Express, and one text on Fastify. */
function text(param: unknown): string {
  return [param].flat().join('/');
}

function checkMembers(routes: readonly ReachedRoute[]): void {
  if (routes.length === 0) {
    throw new DownloadAuthConfigurationError('Name at least one handler; the URL starts at the first.');
  }
  const posted = routes.find(({ route }) => route.method !== 'GET');
  if (posted) {
    throw new DownloadAuthConfigurationError(
      `${posted.route.label} is not a @Get() route. A collection is opened by GET and HEAD only.`,
    );
  }
}

/** @throws DownloadAuthConfigurationError for a path that a browser would rewrite, such as `//files` */
function urlOf({ label }: LinkedRoute, pathAndQuery: string, host = 'localhost'): URL {
  const url = new URL(pathAndQuery, `http://${host}`);
  if (url.pathname + url.search === pathAndQuery) {
    return url;
  }
  throw new DownloadAuthConfigurationError(
    `${label}: a browser would ask for another path than ${pathAndQuery}. ` +
      'Write the path of the route as a URL has it, percent-encoded.',
  );
}

/** A value for a message, cut to a readable length. */
function shown(value: unknown): string {
  const text = canonical(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
