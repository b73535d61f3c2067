import { VERSION_NEUTRAL } from '@nestjs/common';
import type { VersioningOptions } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { LegacyRouteConverter } from '@nestjs/core/router/legacy-route-converter.js';
import findMyWay from 'find-my-way';
import type { HTTPMethod } from 'find-my-way';
import { parse as parseQuerystring } from 'node:querystring';
import { match as matcherOf } from 'path-to-regexp';

type Members = Readonly<Record<string, unknown>>;

/** A route that a URL leads to, with the parameters that its handler would receive. */
export interface RouteMatch {
  readonly pattern: string;
  readonly params: Members;
}

/**
 * How an adapter writes patterns: Express names its wildcards and gives segments, Fastify has `*` and gives
 * one string.
 */
export type RouteSyntax = 'express' | 'fastify';

/** The versions of a route, as Nest keeps them. */
export type RouteVersions = Parameters<AbstractHttpAdapter['applyVersionFilter']>[1];

/** Reads URLs as the server does that they lead to. */
export interface UrlReader {
  readonly syntax: RouteSyntax;
  /** The routes that match a URL, in the order in which they are asked. */
  matches(method: string, url: URL): readonly RouteMatch[];
  /** What a handler receives of the query of a URL. */
  parseQuery(text: string): Members;
}

/** Asks an adapter's own router and query parser. */
export interface AdapterRouter extends UrlReader {
  /** Nest's path in the spelling in which the adapter registers it. */
  patternOf(path: string): string;
  isRegistered(method: string, pattern: string): boolean;
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
  readonly route?: { readonly path: unknown; readonly methods: Readonly<Record<string, boolean>> };
  readonly matchers?: readonly ((path: string) => false | { params: Members })[];
}

interface ExpressApplication {
  readonly request: object;
  readonly router: { readonly stack: readonly ExpressLayer[] };
  get(setting: 'query parser fn'): ((text: string) => Members) | undefined;
}

type VersionFilter = (request: unknown, response: unknown, next: () => boolean) => unknown;

class ExpressRouter implements AdapterRouter {
  readonly syntax = 'express';

  constructor(
    private readonly adapter: AbstractHttpAdapter,
    private readonly app: ExpressApplication,
  ) {}

  patternOf(path: string): string {
    return LegacyRouteConverter.tryConvert(path, { logs: false });
  }

  isRegistered(method: string, pattern: string): boolean {
    return this.layers(method).some(({ route }) => route?.path === pattern);
  }

  matches(method: string, { pathname }: URL): RouteMatch[] {
    return this.layers(method).flatMap(({ route, matchers = [] }) => {
      const [match] = matchers.flatMap((matcher) => attempt(() => matcher(pathname)) || []);
      return match ? [{ pattern: String(route?.path), params: match.params }] : [];
    });
  }

  servesVersion(url: URL, versions: RouteVersions, options: VersioningOptions): boolean {
    const { app } = this;
    const filter = this.adapter.applyVersionFilter(() => true, versions, options) as unknown as VersionFilter;
    return bareRequests(url).every((bare) => {
      const request: unknown = Object.assign(Object.create(app.request) as object, bare, { app });
      return filter(request, {}, () => false) === true;
    });
  }

  parseQuery(text: string): Members {
    return this.app.get('query parser fn')?.(text) ?? {};
  }

  private layers(method: string): readonly ExpressLayer[] {
    const name = method.toLowerCase();
    return this.app.router.stack.filter(({ route }) => route?.methods[name] || route?.methods._all);
  }
}

interface FastifyRoute {
  readonly method: string | readonly string[];
  readonly url: string;
  readonly constraints?: Record<string, unknown>;
}

interface FastifyApplication {
  addHook(name: 'onRoute', hook: (route: FastifyRoute) => void): void;
}

type FindMyWay = ReturnType<typeof findMyWay>;
type FindMyWayOptions = NonNullable<Parameters<typeof findMyWay>[0]>;

const ROUTER_OPTIONS = [
  'caseSensitive', 'ignoreTrailingSlash', 'ignoreDuplicateSlashes', 'maxParamLength', 'allowUnsafeRegex',
  'useSemicolonDelimiter', 'querystringParser', 'constraints',
] as const; // prettier-ignore

/** Fastify does not expose its router: a second one with the same routes and options answers in its place. */
class FastifyRouter implements AdapterRouter {
  readonly syntax = 'fastify';
  private readonly registered = new Set<string>();
  private readonly recorded: FastifyRoute[] = [];
  private readonly options: FindMyWayOptions;
  private readonly byVersion = new Map<RouteVersions, FindMyWay>();
  private mirror: FindMyWay | undefined;

  constructor(app: FastifyApplication) {
    this.options = routerOptions(app);
    app.addHook('onRoute', (route) => {
      this.recorded.push(route);
      for (const method of [route.method].flat()) {
        this.registered.add(`${method} ${route.url}`);
      }
      this.mirror = undefined;
    });
  }

  patternOf(path: string): string {
    return path;
  }

  isRegistered(method: string, pattern: string): boolean {
    return this.registered.has(`${method} ${pattern}`);
  }

  /** Fastify asks one route only; what its router does about versions and hosts is in the constraints. */
  matches(method: string, url: URL): RouteMatch[] {
    this.mirror ??= mirrorOf(this.recorded, this.options);
    return lookUp(this.mirror, method, url);
  }

  servesVersion(url: URL, version: RouteVersions): boolean {
    if (version === VERSION_NEUTRAL) {
      return true;
    }
    let mirror = this.byVersion.get(version);
    if (!mirror) {
      mirror = mirrorOf([{ method: 'GET', url: '*', constraints: { version } }], this.options);
      this.byVersion.set(version, mirror);
    }
    return lookUp(mirror, 'GET', url).length > 0;
  }

  parseQuery(text: string): Members {
    return (this.options.querystringParser ?? defaultParser)(text) as Members;
  }
}

/** The members of Fastify's own copy of its options that concern the router, functions included. */
function routerOptions(app: object): FindMyWayOptions {
  const symbol = Object.getOwnPropertySymbols(app).find(
    ({ description }) => description === 'fastify.options',
  );
  const all = (app as Record<symbol, Members & { routerOptions?: object }>)[symbol as symbol];
  const own: Members = { ...all, ...all?.routerOptions };
  return Object.fromEntries(ROUTER_OPTIONS.map((name) => [name, own[name]]));
}

const anyQuery = mirrorOf([{ method: 'GET', url: '/' }], {});

function defaultParser(text: string): Members {
  return anyQuery.find('GET', `/?${text}`)?.searchParams as unknown as Members;
}

/** The longest list that every query parser reads as a list, and the most parameters that every one reads. */
const MAX_LIST = 20;
const MAX_PARAMETERS = 500;

/** Stands in for the server of another process, of which only one route is known. */
export class StandInRouter implements UrlReader {
  private readonly mirror: FindMyWay | undefined;

  constructor(
    readonly syntax: RouteSyntax,
    method: string,
    private readonly pattern: string,
  ) {
    this.mirror = syntax === 'fastify' ? mirrorOf([{ method, url: pattern }], {}) : undefined;
  }

  matches(method: string, url: URL): RouteMatch[] {
    if (this.mirror) {
      return lookUp(this.mirror, method, url);
    }
    const { pattern } = this;
    const match = attempt(() => matcherOf(pattern)(url.pathname));
    return match ? [{ pattern, params: match.params }] : [];
  }

  /** @throws Error for what the parser of the other process may read differently */
  parseQuery(text: string): Members {
    const query = parseQuerystring(text);
    for (const [name, value] of Object.entries(query)) {
      if (/[[\]]|^__proto__$/.test(name) || [value].flat().length > MAX_LIST) {
        throw new Error(
          `the process that serves the route may read ${name} differently. ` +
            `Give names without brackets, and strings or lists of at most ${MAX_LIST}`,
        );
      }
    }
    if (Object.values(query).flat().length > MAX_PARAMETERS) {
      throw new Error(`the process that serves the route may read no more than ${MAX_PARAMETERS} parameters`);
    }
    return query;
  }
}

function mirrorOf(routes: readonly FastifyRoute[], options: FindMyWayOptions): FindMyWay {
  const router = findMyWay({ ...options, defaultRoute: () => undefined });
  for (const { method, url, constraints } of routes) {
    const report = (_request: unknown, _response: unknown, params: Members) => ({ pattern: url, params });
    router.on([method].flat() as HTTPMethod[], url, constraints ? { constraints } : {}, report as never);
  }
  return router;
}

function lookUp(router: FindMyWay, method: string, url: URL): RouteMatch[] {
  const matches = bareRequests(url).map((bare) => {
    const request = { ...bare, method } as never;
    return attempt(() => router.lookup(request, {} as never) as unknown as RouteMatch | undefined | null);
  });
  return matches.every(Boolean) ? (matches.slice(0, 1) as RouteMatch[]) : [];
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

/** Routers and parsers throw for what they cannot decode. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
