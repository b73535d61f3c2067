import { VERSION_NEUTRAL } from '@nestjs/common';
import type { VersioningOptions } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { LegacyRouteConverter } from '@nestjs/core/router/legacy-route-converter.js';
import findMyWay from 'find-my-way';
import type { HTTPMethod } from 'find-my-way';
import { parse as parseQuerystring } from 'node:querystring';
import { match as matcherOf } from 'path-to-regexp';
import type { FrameworkRequest } from '../http/http-exchange.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

type Members = Readonly<Record<string, unknown>>;

/** A route that matches a URL, with what its handler would receive. */
export interface RouteMatch {
  readonly pattern: string;
  readonly params: Members;
  readonly query: Members;
}

/** The versions of a route, as Nest keeps them. */
export type RouteVersions = Parameters<AbstractHttpAdapter['applyVersionFilter']>[1];

/** Asks an adapter's own router and query parser. */
export interface AdapterRouter {
  /** Fastify asks the first route that matches, Express the next one too where a handler passes on. */
  readonly asksOne: boolean;
  /** Nest's path in the spelling in which the adapter registers it. */
  patternOf(path: string): string;
  isRegistered(method: string, pattern: string): boolean;
  /** The routes that match a URL, in the order in which they are asked. */
  matches(method: string, url: URL): readonly RouteMatch[];
  /** The parameters of a request as the router read them. */
  received(request: FrameworkRequest): Pick<FrameworkRequest, 'params' | 'query'>;
  /** Whether a route of these versions serves a URL to a client that adds no header. */
  servesVersion(url: URL, versions: RouteVersions, options: VersioningOptions): boolean;
}

/** Must be called before the adapter registers its routes. */
export function routerOf(adapter: AbstractHttpAdapter): AdapterRouter {
  return adapter.getType() === 'fastify'
    ? new FastifyRouter(adapter.getInstance())
    : new ExpressRouter(adapter, adapter.getInstance());
}

interface ExpressLayer {
  readonly route: { readonly path: unknown; readonly methods: Readonly<Record<string, boolean>> };
  readonly matchers: readonly ((path: string) => false | { params: Members })[];
}

interface ExpressApplication {
  readonly request: object;
  readonly router: { readonly stack: readonly Partial<ExpressLayer>[] };
  get(setting: 'query parser fn'): ((text: string) => Members) | undefined;
}

type VersionFilter = (request: object, response: object, next: () => boolean) => boolean;

class ExpressRouter implements AdapterRouter {
  readonly asksOne = false;

  constructor(
    private readonly adapter: AbstractHttpAdapter,
    private readonly app: ExpressApplication,
  ) {}

  patternOf(path: string): string {
    return LegacyRouteConverter.tryConvert(path, { logs: false });
  }

  isRegistered(method: string, pattern: string): boolean {
    return this.layers(method).some(({ route }) => route.path === pattern);
  }

  matches(method: string, { pathname, search }: URL): RouteMatch[] {
    const query = this.app.get('query parser fn')?.(search.slice(1)) ?? {};
    return this.layers(method).flatMap(({ route, matchers }) => {
      const [match] = matchers.flatMap((matcher) => matcher(pathname) || []);
      return match ? [{ pattern: String(route.path), params: match.params, query }] : [];
    });
  }

  received(request: FrameworkRequest): Pick<FrameworkRequest, 'params' | 'query'> {
    return request;
  }

  servesVersion(url: URL, versions: RouteVersions, options: VersioningOptions): boolean {
    const { app, adapter } = this;
    const filter = adapter.applyVersionFilter(() => true, versions, options) as unknown as VersionFilter;
    return bareRequests(url).every((bare) => {
      const request = Object.assign(Object.create(app.request) as object, bare, { app });
      return filter(request, {}, () => false);
    });
  }

  /** Middleware has no route. */
  private layers(method: string): ExpressLayer[] {
    const layers = this.app.router.stack.filter(({ route }) => route !== undefined) as ExpressLayer[];
    return layers.filter(({ route: { methods } }) => methods[method.toLowerCase()] || methods._all);
  }
}

interface FastifyApplication {
  addHook(name: 'onRoute', hook: (route: FastifyRoute) => void): void;
}

interface FastifyRoute {
  readonly method: string | readonly string[];
  readonly url: string;
  readonly constraints?: Record<string, unknown>;
}

type FindMyWay = ReturnType<typeof findMyWay>;
type FindMyWayOptions = NonNullable<Parameters<typeof findMyWay>[0]>;

/** Fastify does not expose its router: a second one with the same routes and options answers in its place. */
class FastifyRouter implements AdapterRouter {
  readonly asksOne = true;
  private readonly registered = new Set<string>();
  private readonly options: FindMyWayOptions;
  private readonly mirror: FindMyWay;

  constructor(app: FastifyApplication) {
    this.options = routerOptions(app);
    this.mirror = findMyWay({ ...this.options, defaultRoute: () => undefined });
    app.addHook('onRoute', (route) => {
      for (const method of [route.method].flat()) {
        this.registered.add(`${method} ${route.url}`);
        addRoute(this.mirror, method, route);
      }
    });
  }

  patternOf(path: string): string {
    return path;
  }

  isRegistered(method: string, pattern: string): boolean {
    return this.registered.has(`${method} ${pattern}`);
  }

  matches(method: string, url: URL): RouteMatch[] {
    const match = lookUp(this.mirror, { ...bareRequests(url)[0], method });
    return match ? [match] : [];
  }

  /** The schema of a route turns texts into numbers, and fills in defaults. */
  received(request: FrameworkRequest): Pick<FrameworkRequest, 'params' | 'query'> {
    const hasSchema = request.routeOptions?.schema !== undefined;
    return (hasSchema && lookUp(this.mirror, request.raw as object)) || request;
  }

  /** Nest's adapter makes versions a constraint of the router. */
  servesVersion(url: URL, versions: RouteVersions): boolean {
    const constraint = this.options.constraints?.version as unknown as VersionConstraint;
    const served = constraint.storage();
    served.set(versions, true);
    const serves = (bare: object) => Boolean(served.get(constraint.deriveConstraint(bare)));
    return versions === VERSION_NEUTRAL || bareRequests(url).every(serves);
  }
}

interface VersionConstraint {
  storage(): { get(version: unknown): unknown; set(versions: RouteVersions, value: true): void };
  deriveConstraint(request: object): unknown;
}

const ROUTER_OPTIONS = [
  'caseSensitive', 'ignoreTrailingSlash', 'ignoreDuplicateSlashes', 'maxParamLength', 'allowUnsafeRegex',
  'useSemicolonDelimiter', 'querystringParser', 'constraints',
] as const; // prettier-ignore

/** The members of Fastify's own copy of its options that concern the router, functions included. */
function routerOptions(app: object): FindMyWayOptions {
  const symbol = Object.getOwnPropertySymbols(app).find(
    ({ description }) => description === 'fastify.options',
  );
  const all = (app as Record<symbol, Members & { routerOptions?: object }>)[symbol as symbol];
  const own: Members = { ...all, ...all?.routerOptions };
  return Object.fromEntries(ROUTER_OPTIONS.map((name) => [name, own[name]]));
}

function addRoute(mirror: FindMyWay, method: string, { url, constraints = {} }: FastifyRoute): void {
  const match = (_request: unknown, _response: unknown, params: Members, _store: unknown, query: Members) => {
    return { pattern: url, params, query };
  };
  mirror.on(method as HTTPMethod, url, { constraints }, match as never);
}

/** What Fastify's router does about versions and hosts is in the constraints. */
function lookUp(mirror: FindMyWay, request: object): RouteMatch | undefined {
  const found: unknown = mirror.lookup(request as never, {} as never);
  return found as RouteMatch | undefined;
}

/** Answers what the handler of a route would receive; undefined where the router does not lead to it. */
export type UrlReader = (url: URL) => RouteMatch | undefined;

/** Reads URLs as another process does, of which one route is known. @throws Error for a bad pattern */
export function standIn(adapter: 'express' | 'fastify', method: string, pattern: string): UrlReader {
  if (adapter === 'fastify') {
    const mirror = findMyWay({ querystringParser: agreedQuery, defaultRoute: () => undefined });
    addRoute(mirror, method, { method, url: pattern });
    return (url) => lookUp(mirror, { ...bareRequests(url)[0], method });
  }
  const matcher = matcherOf(pattern);
  return ({ pathname, search }) => {
    const match = matcher(pathname);
    return match ? { pattern, params: match.params, query: agreedQuery(search.slice(1)) } : undefined;
  };
}

/** The longest list that every query parser reads as a list, and the most parameters that every one reads. */
const MAX_LIST = 20;
const MAX_PARAMETERS = 500;

/** @throws DownloadAuthConfigurationError for what the parser of the other process may read differently */
function agreedQuery(text: string): Members {
  const query = parseQuerystring(text);
  const [odd] =
    Object.entries(query).find(([name, value]) => {
      return /[[\]]|^__proto__$/.test(name) || [value].flat().length > MAX_LIST;
    }) ?? [];
  if (odd !== undefined || Object.values(query).flat().length > MAX_PARAMETERS) {
    throw new DownloadAuthConfigurationError(
      `query: the process that serves the route may read ${odd ?? 'it'} differently. Give names without brackets, ` +
        `strings or lists of at most ${MAX_LIST}, and no more than ${MAX_PARAMETERS} parameters.`,
    );
  }
  return query;
}

/** What programs accept, and what Chromium does: Nest takes the last parameter there for a version. */
const ACCEPT = [
  '*/*',
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7',
];

/** Requests of clients that follow a link, as far as routers read them. */
function bareRequests({ host, pathname, search }: URL) {
  const url = pathname + search;
  return ACCEPT.map((accept) => ({ method: 'GET', url, originalUrl: url, headers: { host, accept } }));
}
