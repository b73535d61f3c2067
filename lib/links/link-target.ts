import { RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { isTokenName } from '../http/redact-url.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import type { AdapterRouter, UrlReader } from './adapter-router.js';
import type { LinkTarget, QueryParams } from './link.js';
import type { ToldRoute } from './link-options.js';
import { canonical, resourceDigest } from './link-resource.js';
import { routerMethod } from './route-registry.js';
import type { Route, RouteRegistry } from './route-registry.js';
import { filledHost, hostParams, normalizedQuery, queryString, RouteTemplate } from './route-template.js';

/** Where a link leads. */
export interface LocatedTarget {
  readonly route: Pick<Route, 'id' | 'method' | 'label' | 'answersItself'>;
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly query: QueryParams;
  /** The digest of the resource. */
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
  private readonly publicHost: string | undefined;
  private readonly templates = new Map<string, RouteTemplate>();

  constructor(
    private readonly options: TargetOptions,
    private readonly registry: RouteRegistry,
  ) {
    const { publicUrl } = options.links;
    this.publicHost = publicUrl ? new URL(publicUrl).hostname : undefined;
  }

  /**
   * @throws DownloadAuthConfigurationError for values that the router or the query parser would not hand over
   *   as they are given
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
    const { routes } = this.options.links;
    const route = registry.byName(name);
    if (route && registry.router) {
      return this.served(route, target, registry.router);
    }
    const told = routes.get(name);
    if (told) {
      return this.told(told, target);
    }
    if (route) {
      throw withoutHttp();
    }
    const names = [...new Set([...registry.list.flatMap((one) => one.name ?? []), ...routes.keys()])];
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
      this.checkVersion(route, url);
      return this.receivedParams(route, pattern, url, router);
    });
  }

  /** The readers of both adapters must agree; the answer is that of the first. */
  private told({ route, readers }: ToldRoute, target: LinkTarget): LocatedTarget {
    const [pattern] = route.patterns as readonly [string];
    const [located] = readers.map((reader) =>
      this.resolve(route, pattern, target, reader, undefined, (url) => {
        const [match] = reader.matches(route.method, url);
        return (match ?? notFound(route, pattern, url)).params;
      }),
    );
    return located as LocatedTarget;
  }

  private resolve(
    route: LocatedTarget['route'],
    pattern: string,
    { params: given = {}, query: givenQuery = {}, hosts = {} }: LinkTarget,
    reader: UrlReader,
    host: string | undefined,
    receivedParams: (url: URL) => Readonly<Record<string, unknown>>,
  ): LocatedTarget {
    const { path, expected } = this.template(pattern, reader).fill(given);
    const query = normalizedQuery(givenQuery);
    const bound = this.boundQuery(query, reader);
    const params = receivedParams(urlOf(route, path + queryString(query), host));
    if (canonical(params) === canonical(expected)) {
      return {
        route,
        path,
        query,
        resource: resourceDigest({ route, pattern, params, query: bound, hosts }),
      };
    }
    throw new DownloadAuthConfigurationError(
      `params: the router would read ${shown(params)} out of ${path} (${pattern}), not ${shown(expected)}. ` +
        'Give each parameter a segment of the path, or take other values.',
    );
  }

  private template(pattern: string, { syntax }: UrlReader): RouteTemplate {
    const key = `${syntax} ${pattern}`;
    let template = this.templates.get(key);
    if (!template) {
      this.templates.set(key, (template = new RouteTemplate(pattern, syntax)));
    }
    return template;
  }

  private receivedParams(route: Route, pattern: string, url: URL, router: AdapterRouter) {
    const method = routerMethod(route);
    for (const match of router.matches(method, url)) {
      const first = this.registry.list.find(
        (one) =>
          one.patterns.includes(match.pattern) &&
          ((one === route && match.pattern === pattern) || this.servesAnyHost(one, method, url)),
      );
      if (first === route && match.pattern === pattern) {
        return match.params;
      }
      // Fastify asks no further route; Express does where a handler passes the request on
      if (first || router.syntax === 'fastify') {
        throw new DownloadAuthConfigurationError(
          `${url.pathname} does not lead to ${route.label}: ${first?.label ?? match.pattern} is asked first. ` +
            'Declare it behind, or give one of them another path.',
        );
      }
    }
    return notFound(route, pattern, url);
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

  /** What the handler receives of a query, as far as the link is bound to it. */
  private boundQuery(query: QueryParams, reader: UrlReader): QueryParams {
    const { query: tokenName } = this.options.tokenNames;
    const { ignoreQuery } = this.options.links;
    if (Object.keys(query).some((name) => isTokenName(name, tokenName))) {
      throw new DownloadAuthConfigurationError(`query: ${tokenName} is the token's own parameter.`);
    }
    const bound = (all: QueryParams): QueryParams =>
      Object.fromEntries(
        Object.entries(all).filter(([name]) => !isTokenName(name, tokenName) && !ignoreQuery.has(name)),
      );
    const expected = bound(query);
    const received = bound(parsed(reader, queryString({ ...query, [tokenName]: '' }).slice(1)));
    if (canonical(received) === canonical(expected)) {
      return received;
    }
    throw new DownloadAuthConfigurationError(
      `query: the application's query parser would read ${shown(received)}, not ${shown(expected)}. ` +
        'Give names without brackets, short lists and no deeper objects than it reads.',
    );
  }

  /** The host that a link leads to, where it is known: the groups of an expression cannot be filled in. */
  private hostOf(route: Route, hosts: Readonly<Record<string, string>>): string | undefined {
    const { publicHost } = this;
    if (route.hosts.length === 0) {
      return publicHost;
    }
    if (Object.keys(hosts).length === 0 && route.hosts.every(hasParameters)) {
      throw new DownloadAuthConfigurationError(
        `${route.label} is bound to a host with parameters. Give them too: hosts: { tenant: 'acme' }.`,
      );
    }
    const host = publicHost ?? route.hosts.map((one) => filledHost(one, hosts)).find(Boolean);
    if (host === undefined && route.hosts.some((one) => one instanceof RegExp)) {
      return undefined;
    }
    const given = canonical(hosts);
    if (host !== undefined && route.hosts.some((one) => canonical(hostParams(one, host)) === given)) {
      return host;
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

/** @throws DownloadAuthConfigurationError */
function notFound({ label }: LocatedTarget['route'], pattern: string, url: URL): never {
  throw new DownloadAuthConfigurationError(
    `${label}: the router would not find ${pattern} for ${shown(url.pathname)}. A parameter is too long ` +
      '(Fastify: routerOptions.maxParamLength, 100 characters by default), or does not fit the expression of the route.',
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

function parsed(reader: UrlReader, text: string): QueryParams {
  try {
    return reader.parseQuery(text);
  } catch (error) {
    throw new DownloadAuthConfigurationError(
      `query: the application's query parser refuses it: ${(error as Error).message}.`,
    );
  }
}

function hasParameters(host: string | RegExp): boolean {
  return typeof host === 'string' ? host.includes(':') : host.source.includes('(?<');
}

/** A value for a message, cut to a readable length. */
function shown(value: unknown): string {
  const text = canonical(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
