import { type Type, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import { compile, match as matcherOf } from 'path-to-regexp';
import { isTokenName } from '../http/redact-url.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { AdapterRouter } from './adapter-router.js';
import { canonical, type QueryParams, resourceDigest } from './link-resource.js';
import { normalizedQuery, queryString } from './link-query.js';
import { type Route, type RouteRegistry, routerMethod } from './route-registry.js';
import { fillRoute, type RouteParams } from './route-template.js';
import { requireCommonQuery, type ToldRoute } from './told-route.js';

/** What a link opens, beside the handler. */
export interface LinkTarget {
  /** The parameters of the route, decoded. Default: none. */
  params?: RouteParams;
  /** The query parameters, decoded, in the shape in which the handler receives them. Default: none. */
  query?: QueryParams;
  /** The host parameters, for a controller bound to a host such as `:tenant.example.com`. Default: none. */
  hosts?: Readonly<Record<string, string>>;
  /** Which of the handler's paths, where it has several: whole, or its end. Default: the first. */
  path?: string;
}

/** What a link leads to, found out. */
export interface LocatedTarget {
  readonly route: Route;
  readonly method: string;
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly resource: string;
}

interface TargetOptions {
  readonly tokenNames: { readonly query: string };
  readonly links: {
    readonly ignoreQuery: ReadonlySet<string>;
    readonly publicUrl: string;
    readonly routes: ReadonlyMap<string, ToldRoute>;
  };
}

/** Finds out whether a URL will reach its handler, and what the handler will receive. */
export class TargetLocator {
  constructor(
    private readonly options: TargetOptions,
    private readonly registry: RouteRegistry,
  ) {}

  /**
   * @throws DownloadAuthConfigurationError for what the router or the query parser would not hand over as it
   *   is given
   */
  byHandler(controller: Type, method: string, target: LinkTarget): LocatedTarget {
    const route = this.registry.byHandler(controller, method);
    if (this.registry.router) {
      return this.served(route, target, this.registry.router);
    }
    throw withoutHttp();
  }

  /** As {@link byHandler}; a route that is not of this application is one of `links.routes`. */
  byName(name: string, target: LinkTarget): LocatedTarget {
    const { registry } = this;
    const route = registry.byName(name);
    if (route && registry.router) {
      return this.served(route, target, registry.router);
    }
    const told = this.options.links.routes.get(name);
    if (told) {
      return this.told(told, target);
    }
    if (route) {
      throw withoutHttp();
    }
    const names = [...new Set([...registry.names(), ...this.options.links.routes.keys()])];
    throw new DownloadAuthConfigurationError(
      `No route is named ${JSON.stringify(name)}. ` +
        (names.length > 0 ? `There are: ${names.join(', ')}. ` : '') +
        `Write @StreamDownload({ name: '${name}' }), or links: { routes: { ${name}: '/path/:id' } } where another process serves it.`,
    );
  }

  private served(route: Route, target: LinkTarget, router: AdapterRouter): LocatedTarget {
    const pattern = patternOf(route, target.path, router);
    this.registry.requireRegistered(route, pattern);
    const host = this.hostOf(route, target.hosts ?? {});
    return this.resolve(route, pattern, target, router, host, (url) => {
      this.checkVersion(route, url, router);
      return this.receivedParams(route, pattern, url, router);
    });
  }

  private told({ route, routers }: ToldRoute, target: LinkTarget): LocatedTarget {
    const [pattern] = route.patterns as readonly [string];
    requireCommonQuery(target.query ?? {});
    const [located] = routers.map((router) =>
      this.resolve(route, pattern, target, router, undefined, (url) => {
        const [match] = router.matches(route.method, url);
        if (match) {
          return match.params;
        }
        throw notFound(route, pattern, url);
      }),
    );
    return located as LocatedTarget;
  }

  private resolve(
    route: Route,
    pattern: string,
    { params: given = {}, query: givenQuery = {}, hosts = {} }: LinkTarget,
    router: AdapterRouter,
    host: string | undefined,
    receivedParams: (url: URL) => Readonly<Record<string, unknown>>,
  ): LocatedTarget {
    const { path, expected } = fillRoute(pattern, given, router.syntax);
    const query = this.receivedQuery(givenQuery, router);
    const params = receivedParams(urlOf(route, path + queryString(givenQuery), host));
    if (canonical(params) === canonical(expected)) {
      const resource = resourceDigest({ route, pattern, params, query, hosts });
      return { route, method: route.method, path, resource };
    }
    throw new DownloadAuthConfigurationError(
      `params: the router would read ${shown(params)} out of ${path} (${pattern}), not ${shown(expected)}. ` +
        'Give each parameter a segment of the path, or take other values.',
    );
  }

  private receivedParams(route: Route, pattern: string, url: URL, router: AdapterRouter) {
    const method = routerMethod(route);
    for (const match of router.matches(method, url)) {
      const rival = this.certain(method, match.pattern, url, router);
      if (match.pattern === pattern) {
        if (!rival || !this.isBefore(rival, route)) {
          return match.params;
        }
        throw shadowed(route, url, rival.label);
      }
      // Fastify asks no further route, Express does where one passes the request on
      if (rival || router.syntax === 'fastify') {
        throw shadowed(route, url, rival?.label ?? match.pattern);
      }
    }
    throw notFound(route, pattern, url);
  }

  /** The first route of this pattern that serves the URL whatever the host. */
  private certain(method: string, pattern: string, url: URL, router: AdapterRouter): Route | undefined {
    return this.registry.list.find(
      (route) =>
        (routerMethod(route) === method || route.method === method) &&
        route.patterns.includes(pattern) &&
        route.hosts.length === 0 &&
        this.servesVersion(route, url, router),
    );
  }

  private isBefore(one: Route, other: Route): boolean {
    const { list } = this.registry;
    return list.indexOf(one) < list.indexOf(other);
  }

  private servesVersion({ versions }: Route, url: URL, router: AdapterRouter): boolean {
    const versioning = this.registry.config.getVersioning();
    return versions === undefined || !versioning || router.servesVersion(url, versions, versioning);
  }

  private checkVersion(route: Route, url: URL, router: AdapterRouter): void {
    if (this.servesVersion(route, url, router)) {
      return;
    }
    const isCustom = this.registry.config.getVersioning()?.type === VersioningType.CUSTOM;
    const versions = [route.versions].flat().filter((version) => version !== VERSION_NEUTRAL);
    throw new DownloadAuthConfigurationError(
      `${route.label} serves version ${versions.join(', ')} only, which ` +
        (isCustom
          ? 'the extractor does not find in a URL without headers. '
          : 'no browser asks for that follows a link: it is in a header. ') +
        'Make it VERSION_NEUTRAL, or put versions into the URL (VersioningType.URI).',
    );
  }

  private receivedQuery(given: QueryParams, router: AdapterRouter): QueryParams {
    const { query: tokenName } = this.options.tokenNames;
    const { ignoreQuery } = this.options.links;
    if (Object.keys(given).some((name) => isTokenName(name, tokenName))) {
      throw new DownloadAuthConfigurationError(`query: ${tokenName} is the token's own parameter.`);
    }
    const bound = (query: QueryParams) =>
      Object.fromEntries(
        Object.entries(query).filter(([name]) => !isTokenName(name, tokenName) && !ignoreQuery.has(name)),
      );
    const expected = bound(normalizedQuery(given));
    const received = bound(parsed(router, queryString({ ...given, [tokenName]: '' }).slice(1)));
    if (canonical(received) === canonical(expected)) {
      return received;
    }
    throw new DownloadAuthConfigurationError(
      `query: the application's query parser would read ${shown(received)}, not ${shown(expected)}. ` +
        'Give names without brackets, short lists and no deeper objects than it reads.',
    );
  }

  /** The host that a link leads to, as far as it is known. */
  private hostOf(route: Route, hosts: Readonly<Record<string, string>>): string | undefined {
    const { publicUrl } = this.options.links;
    const publicHost = publicUrl ? new URL(publicUrl).hostname : undefined;
    if (route.hosts.length === 0) {
      return publicHost;
    }
    const given = canonical(hosts);
    if (Object.keys(hosts).length === 0 && route.hosts.every(hasParameters)) {
      throw new DownloadAuthConfigurationError(
        `${route.label} is bound to a host with parameters. Give them too: hosts: { tenant: 'acme' }.`,
      );
    }
    const filled = publicHost ?? route.hosts.map((host) => filledHost(host, hosts)).find(Boolean);
    // the groups of an expression cannot be filled in
    if (filled === undefined && route.hosts.some((host) => host instanceof RegExp)) {
      return undefined;
    }
    if (filled !== undefined && route.hosts.some((host) => canonical(hostParams(host, filled)) === given)) {
      return filled;
    }
    throw new DownloadAuthConfigurationError(
      publicHost
        ? `${route.label} is bound to ${route.hosts.join(', ')}, and links.publicUrl leads to ${publicHost}, where it does ` +
            `not receive hosts: ${given}. Leave publicUrl out, and put the origin before the link's url.`
        : `hosts: ${given} does not fit ${route.hosts.join(', ')}. Give each of its parameters, in lower case as ` +
            'browsers send host names.',
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

function notFound(route: Route, pattern: string, url: URL): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    `${route.label}: the router would not find ${pattern} for ${shown(url.pathname)}. A parameter is too long ` +
      '(Fastify: routerOptions.maxParamLength, 100 characters by default), or does not fit the expression of the route.',
  );
}

function patternOf(route: Route, path: string | undefined, router: AdapterRouter): string {
  if (path === undefined) {
    return route.patterns[0] as string;
  }
  const wanted = router.patternOf(`/${path.replace(/^\/|\/$/g, '')}`);
  const found = route.patterns.find((pattern) => pattern === wanted || pattern.endsWith(wanted));
  if (found !== undefined) {
    return found;
  }
  throw new DownloadAuthConfigurationError(
    `path: ${route.label} has no path ${path}. It has ${route.patterns.join(', ')}.`,
  );
}

/**
 * @throws DownloadAuthConfigurationError for a path that a browser would rewrite, such as one that begins
 *   with `//`
 */
function urlOf(route: Route, pathAndQuery: string, host = 'localhost'): URL {
  const origin = `http://${host}`;
  const url = URL.canParse(pathAndQuery, origin) ? new URL(pathAndQuery, origin) : undefined;
  if (url?.pathname + (url?.search ?? '') === pathAndQuery) {
    return url as URL;
  }
  throw new DownloadAuthConfigurationError(
    `params: a browser would ask for another path than ${pathAndQuery} of ${route.label}. ` +
      'Give no parameters that are dots or empty.',
  );
}

function parsed(router: AdapterRouter, text: string): QueryParams {
  try {
    return router.parseQuery(text);
  } catch (error) {
    throw new DownloadAuthConfigurationError(
      `query: the application's query parser refuses it: ${(error as Error).message}.`,
    );
  }
}

function hasParameters(host: string | RegExp): boolean {
  return typeof host === 'string' ? host.includes(':') : host.source.includes('(?<');
}

function filledHost(host: string | RegExp, hosts: Readonly<Record<string, string>>): string | undefined {
  if (host instanceof RegExp) {
    return undefined;
  }
  try {
    const name = compile(host, { encode: false })(hosts);
    return new URL(`http://${name}`).hostname === name ? name : undefined;
  } catch {
    return undefined;
  }
}

/** As Nest's host filter finds them. */
function hostParams(host: string | RegExp, name: string): unknown {
  if (host instanceof RegExp) {
    return host.exec(name)?.groups ?? {};
  }
  const match = matcherOf(host, { decode: false })(name);
  return match ? match.params : undefined;
}

function shadowed(route: Route, url: URL, rival: string): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    `${url.pathname} does not lead to ${route.label}: ${rival} is asked first. ` +
      'Declare it behind, or give one of them another path.',
  );
}

/** A value for a message, cut to a readable length. */
function shown(value: unknown): string {
  const text = canonical(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
