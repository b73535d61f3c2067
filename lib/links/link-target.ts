import { RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { declaredOption } from '../http/handler-metadata.js';
import { isTokenName } from '../http/redact-url.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { AdapterRouter, RouteMatch, UrlReader } from './adapter-router.js';
import type { LinkTarget, QueryParams } from './link.js';
import { hostOf } from './link-host.js';
import type { LinkSettings, ToldRoute } from './link-options.js';
import { canonical, collectionDigest, collectionOf, resourceDigest } from './link-resource.js';
import type { Collection } from './link-resource.js';
import { routerMethod } from './route-registry.js';
import type { Route, RouteRegistry } from './route-registry.js';
import { normalizedQuery, queryString, RouteTemplate } from './route-template.js';
import type { RouteInCollection } from './route-template.js';

/** Where a link leads. */
export interface LocatedTarget {
  readonly route: Pick<Route, 'id' | 'method' | 'label' | 'answersItself' | 'hasChallenge'>;
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

/** One route or several: methods of a controller, or the names of routes. */
export interface NamedRoutes {
  readonly controller?: Type;
  readonly names: string | readonly string[];
}

interface CollectionTarget extends LinkTarget {
  readonly free: readonly string[];
}

interface LocatedRoute extends LocatedTarget {
  readonly pattern: string;
  readonly inCollection?: RouteInCollection;
}

/** Finds out whether a URL will reach its handler, and what the handler will receive. */
export class TargetLocator {
  private readonly publicHost: string | undefined;
  private readonly publicPath: string;
  private readonly templates = new Map<string, RouteTemplate>();

  constructor(
    private readonly options: LinkSettings,
    private readonly registry: RouteRegistry,
  ) {
    const { publicUrl } = options.links;
    this.publicHost = publicUrl ? new URL(publicUrl).hostname : undefined;
    this.publicPath = publicUrl && new URL(publicUrl).pathname.replace(/\/$/, '');
  }

  /**
   * @throws DownloadAuthConfigurationError for values that the router or the query parser would not hand over
   *   as they are given
   */
  locate({ controller, names }: NamedRoutes, target: LinkTarget): LocatedTarget {
    return typeof names === 'string' && target.free === undefined
      ? this.route(controller, names, target)
      : this.collection(controller, [names].flat(), { free: [], ...target });
  }

  private collection(controller: Type | undefined, names: string[], target: CollectionTarget): LocatedTarget {
    const [start, ...others] = names.map((name, index) =>
      this.route(controller, name, index === 0 ? target : { ...target, path: undefined }),
    );
    if (!start) {
      throw new DownloadAuthConfigurationError('Name at least one handler; the URL starts at the first.');
    }
    const members = [start, ...others];
    const posted = members.find(({ route }) => route.method !== 'GET');
    if (posted) {
      throw new DownloadAuthConfigurationError(
        `${posted.route.label} is not a @Get() route. A collection is opened by GET and HEAD only.`,
      );
    }
    this.checkNames(target, members);
    const parts = members.map(({ resource, inCollection }) => ({
      resource,
      ...(inCollection as RouteInCollection),
    }));
    const collection = collectionOf(parts, this.publicPath);
    const { unset } = parts[0] as RouteInCollection;
    return { ...start, resource: collectionDigest(collection), collection, unset };
  }

  /** Each route of a collection ignores parameters that others have. */
  private checkNames({ params = {}, free }: CollectionTarget, members: readonly LocatedRoute[]): void {
    const patterns = members.map(({ pattern }) => pattern);
    for (const name of [...Object.keys(params), ...free]) {
      if (!patterns.some((pattern) => this.template(pattern).has(name))) {
        throw new DownloadAuthConfigurationError(
          `${free.includes(name) ? 'free' : 'params'}: ${patterns.join(', ')} has no parameter ${name}.`,
        );
      }
    }
  }

  private route(controller: Type | undefined, name: string, target: LinkTarget): LocatedRoute {
    return controller
      ? this.served(this.registry.byHandler(controller, name), target)
      : this.byName(name, target);
  }

  /** A route that is not of this application is one of `links.routes`. */
  private byName(name: string, target: LinkTarget): LocatedRoute {
    const { registry } = this;
    const { routes } = this.options.links;
    const route = registry.byName(name);
    const told = routes.get(name);
    if (told && !(route && registry.router)) {
      return this.told(told, target);
    }
    if (route) {
      return this.served(route, target);
    }
    const names = [...new Set([...registry.list.flatMap((one) => one.name ?? []), ...routes.keys()])];
    throw new DownloadAuthConfigurationError(
      `No route is named ${JSON.stringify(name)}. ` +
        (names.length > 0 ? `There are: ${names.join(', ')}. ` : '') +
        `Write @StreamDownload({ name: '${name}' }), or links: { routes: { ${name}: '/path/:id' } } where another process serves it.`,
    );
  }

  private served(route: Route, target: LinkTarget): LocatedRoute {
    const { router } = this.registry;
    if (!router) {
      throw withoutHttp();
    }
    if ((declaredOption(route.controller, route.handler, 'auth') ?? this.options.auth) === false) {
      throw new DownloadAuthConfigurationError(
        `${route.label} would not look at a link, because its auth is false. Write @StreamDownload({ auth: 'links' }), ` +
          'or auth: YourGuard.',
      );
    }
    const pattern = patternOf(route, target.path, router);
    this.registry.requireRegistered(route, pattern);
    const host = hostOf(route, target.hosts ?? {}, this.publicHost);
    return this.resolve(route, pattern, host, target, (url) => {
      this.checkVersion(route, url);
      return this.firstAsked(route, pattern, router, url);
    });
  }

  /** The readers of both adapters must agree; the answer is that of the first. */
  private told({ route, readers }: ToldRoute, target: LinkTarget): LocatedRoute {
    const [pattern] = route.patterns as readonly [string];
    const [located] = readers.map((reader) => this.resolve(route, pattern, undefined, target, reader));
    return located as LocatedRoute;
  }

  /** Fills the pattern in, and compares what the handler would receive with what was given. */
  private resolve(
    route: LocatedTarget['route'],
    pattern: string,
    host: string | undefined,
    target: LinkTarget,
    read: UrlReader,
  ): LocatedRoute {
    const template = this.template(pattern);
    const inCollection = target.free && template.inCollection(target);
    const { path, expected } = template.fill(inCollection?.params ?? target.params ?? {});
    const query = normalizedQuery(target.query ?? {});
    const { query: tokenName } = this.options.tokenNames;
    if (Object.keys(query).some((name) => isTokenName(name, tokenName))) {
      throw new DownloadAuthConfigurationError(`query: ${tokenName} is the token's own parameter.`);
    }
    const url = urlOf(route, path + queryString({ ...query, [tokenName]: '' }), host);
    const match = read(url);
    if (!match) {
      throw new DownloadAuthConfigurationError(
        `${route.label}: the router would not find ${pattern} for ${shown(path)}. A parameter is too long ` +
          '(Fastify: routerOptions.maxParamLength, 100 characters by default), or does not fit the expression of the route.',
      );
    }
    if (canonical(match.params) !== canonical(expected)) {
      throw new DownloadAuthConfigurationError(
        `params: the router would read ${shown(match.params)} out of ${path} (${pattern}), not ${shown(expected)}. ` +
          'Give each parameter a segment of the path, or take other values.',
      );
    }
    const bound = this.boundQuery(query);
    const received = this.boundQuery(match.query);
    if (canonical(received) !== canonical(bound)) {
      throw new DownloadAuthConfigurationError(
        `query: the application's query parser would read ${shown(received)}, not ${shown(bound)}. ` +
          'Give names without brackets, short lists and no deeper objects than it reads.',
      );
    }
    const { free = [] } = inCollection ?? {};
    const params = Object.fromEntries(Object.entries(match.params).filter(([name]) => !free.includes(name)));
    const { hosts = {} } = target;
    const resource = resourceDigest({ route, pattern, params, query: received, hosts, free });
    return { route, pattern, path, query, resource, inCollection, unset: [] };
  }

  private template(pattern: string): RouteTemplate {
    const template = this.templates.get(pattern) ?? new RouteTemplate(pattern);
    this.templates.set(pattern, template);
    return template;
  }

  /** What a link is bound to of a query. */
  private boundQuery(query: QueryParams): QueryParams {
    const { query: tokenName } = this.options.tokenNames;
    const { ignoreQuery } = this.options.links;
    const bound = ([name]: [string, unknown]) => !isTokenName(name, tokenName) && !ignoreQuery.has(name);
    return Object.fromEntries(Object.entries(query).filter(bound));
  }

  private firstAsked(route: Route, pattern: string, router: AdapterRouter, url: URL): RouteMatch | undefined {
    const method = routerMethod(route);
    return router.matches(method, url).find((match) => {
      const isWanted = match.pattern === pattern;
      const first = this.registry.list.find(
        (one) =>
          one.patterns.includes(match.pattern) &&
          ((isWanted && one === route) || this.servesAnyHost(one, method, url)),
      );
      if (first === route && isWanted) {
        return true;
      }
      if (first || router.asksOne) {
        throw new DownloadAuthConfigurationError(
          `${url.pathname} does not lead to ${route.label}: ${first?.label ?? match.pattern} is asked first. ` +
            'Declare it behind, or give one of them another path.',
        );
      }
      return false;
    });
  }

  private servesAnyHost(route: Route, method: string, url: URL): boolean {
    const isAsked = routerMethod(route) === method || route.requestMethod === RequestMethod.ALL;
    return isAsked && route.hosts.length === 0 && this.registry.servesVersion(route, url);
  }

  private checkVersion(route: Route, url: URL): void {
    if (this.registry.servesVersion(route, url)) {
      return;
    }
    const isCustom = this.registry.versioning?.type === VersioningType.CUSTOM;
    const versions = [route.versions].flat().filter((version) => version !== VERSION_NEUTRAL);
    throw new DownloadAuthConfigurationError(
      `${route.label} serves version ${versions.join(', ')} only, which ` +
        (isCustom
          ? 'the extractor does not find in a URL without headers. '
          : 'a browser that follows a link does not ask for: it is in a header. ') +
        'Make it VERSION_NEUTRAL, or put versions into the URL (VersioningType.URI).',
    );
  }
}

function withoutHttp(): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    'This application has no HTTP, so it does not know where its routes are served. Give the route a name and tell the ' +
      "path: links: { routes: { file: '/api/files/:id' } } and links.create('file', …); or write NestFactory.create() in " +
      'place of createApplicationContext() or createMicroservice(), and await app.init(); it need not listen.',
  );
}

function patternOf(route: Route, path: string | undefined, router: AdapterRouter): string {
  const [first] = route.patterns as readonly [string];
  const wanted = path === undefined ? first : router.patternOf(`/${path.replace(/^\/|\/$/g, '')}`);
  const found = route.patterns.find((pattern) => pattern === wanted || pattern.endsWith(wanted));
  if (found !== undefined) {
    return found;
  }
  throw new DownloadAuthConfigurationError(
    `path: ${route.label} has no path ${path}. It has ${route.patterns.join(', ')}.`,
  );
}

/** @throws DownloadAuthConfigurationError for a path that a browser would rewrite, such as `//files` */
function urlOf({ label }: LocatedTarget['route'], pathAndQuery: string, host = 'localhost'): URL {
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
