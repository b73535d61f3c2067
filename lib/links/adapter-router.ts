import { VERSION_NEUTRAL, type VersioningOptions } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { LegacyRouteConverter } from '@nestjs/core/router/legacy-route-converter.js';
import findMyWay, { type HTTPMethod } from 'find-my-way';
import { parse as parseQuerystring } from 'node:querystring';
import { match as matcherOf } from 'path-to-regexp';

/** A route of the router that a URL leads to, with the parameters that its handler would receive. */
export interface RouteMatch {
  readonly pattern: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/**
 * How an adapter writes patterns: Express names its wildcards and gives segments, Fastify has `*` and gives
 * one text.
 */
export type RouteSyntax = 'express' | 'fastify';

/** The versions of a route, as Nest keeps them. */
export type RouteVersions = Parameters<AbstractHttpAdapter['applyVersionFilter']>[1];

/** Asks an adapter's own router and query parser what they will do with a URL. */
export interface AdapterRouter {
  readonly syntax: RouteSyntax;
  /** Nest's path in the spelling in which the adapter registers it. */
  patternOf(path: string): string;
  isRegistered(method: string, pattern: string): boolean;
  /** The routes that match a URL, in the order in which they are asked. */
  matches(method: string, url: URL): readonly RouteMatch[];
  /** Whether a route of these versions serves a URL to somebody who adds no header. */
  servesVersion(url: URL, versions: RouteVersions, options: VersioningOptions): boolean;
  /** What a handler receives of the query of a URL. */
  parseQuery(text: string): Readonly<Record<string, unknown>>;
}

/** Must be called before the adapter registers its routes. */
export function routerOf(adapter: AbstractHttpAdapter): AdapterRouter {
  return adapter.getType() === 'fastify' ? new FastifyRouter(adapter) : new ExpressRouter(adapter);
}

interface ExpressLayer {
  readonly route?: { readonly path: unknown; readonly methods: Readonly<Record<string, boolean>> };
  readonly matchers?: readonly ((path: string) => false | { params: Record<string, unknown> })[];
}

interface ExpressApplication {
  readonly request: object;
  readonly router: { readonly stack: readonly ExpressLayer[] };
  get(setting: 'query parser fn'): ((text: string) => Record<string, unknown>) | undefined;
}

class ExpressRouter implements AdapterRouter {
  readonly syntax = 'express';

  constructor(private readonly adapter: AbstractHttpAdapter) {}

  patternOf(path: string): string {
    return LegacyRouteConverter.tryConvert(path, { logs: false });
  }

  isRegistered(method: string, pattern: string): boolean {
    return this.layers(method).some(({ route }) => route?.path === pattern);
  }

  matches(method: string, { pathname }: URL): RouteMatch[] {
    return this.layers(method).flatMap(({ route, matchers = [] }) => {
      for (const matcher of matchers) {
        const match = attempt(() => matcher(pathname));
        if (match) {
          return [{ pattern: String(route?.path), params: match.params }];
        }
      }
      return [];
    });
  }

  servesVersion(url: URL, versions: RouteVersions, options: VersioningOptions): boolean {
    const filter = this.adapter.applyVersionFilter(() => true, versions, options) as unknown as (
      request: unknown,
      response: unknown,
      next: () => boolean,
    ) => unknown;
    return bareRequests(url).every((bare) => {
      const request: unknown = Object.assign(Object.create(this.app.request) as object, bare, {
        app: this.app,
      });
      return filter(request, {}, () => false) === true;
    });
  }

  parseQuery(text: string): Readonly<Record<string, unknown>> {
    return this.app.get('query parser fn')?.(text) ?? {};
  }

  private get app(): ExpressApplication {
    return this.adapter.getInstance<ExpressApplication>();
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
  readonly initialConfig: object;
  addHook(name: 'onRoute', hook: (route: FastifyRoute) => void): void;
}

type FindMyWay = ReturnType<typeof findMyWay>;
type FindMyWayOptions = NonNullable<Parameters<typeof findMyWay>[0]>;

const ROUTER_OPTIONS = [
  'caseSensitive', 'ignoreTrailingSlash', 'ignoreDuplicateSlashes', 'maxParamLength', 'allowUnsafeRegex',
  'useSemicolonDelimiter', 'querystringParser', 'constraints',
] as const; // prettier-ignore

/**
 * Fastify does not give its router away: a second one with the same routes and options answers in its place.
 */
class FastifyRouter implements AdapterRouter {
  readonly syntax = 'fastify';
  private readonly registered = new Set<string>();
  private readonly recorded: FastifyRoute[] = [];
  private mirror: FindMyWay | undefined;

  constructor(private readonly adapter: AbstractHttpAdapter) {
    this.app.addHook('onRoute', (route) => {
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
    this.mirror ??= mirrorOf(this.recorded, this.options());
    return lookUp(this.mirror, method, url);
  }

  servesVersion(url: URL, version: RouteVersions): boolean {
    if (version === VERSION_NEUTRAL) {
      return true;
    }
    const route = { method: 'GET', url: '*', constraints: { version } };
    return lookUp(mirrorOf([route], this.options()), 'GET', url).length > 0;
  }

  parseQuery(text: string): Readonly<Record<string, unknown>> {
    const { querystringParser } = this.options();
    if (querystringParser) {
      return querystringParser(text) as Record<string, unknown>;
    }
    const router = findMyWay();
    router.on('GET', '/', () => undefined);
    return router.find('GET', `/?${text}`)?.searchParams ?? {};
  }

  private get app(): FastifyApplication {
    return this.adapter.getInstance<FastifyApplication>();
  }

  /** Those of Fastify's own copy of its options, which has the functions too, wherever they were given. */
  private options(): FindMyWayOptions {
    const { app } = this;
    const symbol = Object.getOwnPropertySymbols(app).find(
      ({ description }) => description === 'fastify.options',
    );
    const all = (symbol ? (app as unknown as Record<symbol, object>)[symbol] : app.initialConfig) as object;
    const own = { ...all, ...(all as { routerOptions?: object }).routerOptions } as Record<string, unknown>;
    return Object.fromEntries(ROUTER_OPTIONS.map((name) => [name, own[name]]));
  }
}

/** Stands in for the router of another process, of which only one route is known. */
export class StandInRouter implements AdapterRouter {
  constructor(
    readonly syntax: RouteSyntax,
    private readonly method: string,
    private readonly pattern: string,
  ) {}

  patternOf(path: string): string {
    return path;
  }

  isRegistered(): boolean {
    return true;
  }

  matches(method: string, url: URL): RouteMatch[] {
    const { pattern, syntax } = this;
    if (syntax === 'fastify') {
      return lookUp(mirrorOf([{ method: this.method, url: pattern }], {}), method, url);
    }
    const match = attempt(() => matcherOf(pattern)(url.pathname));
    return match ? [{ pattern, params: match.params }] : [];
  }

  servesVersion(): boolean {
    return true;
  }

  parseQuery(text: string): Readonly<Record<string, unknown>> {
    return parseQuerystring(text);
  }
}

function mirrorOf(routes: readonly FastifyRoute[], options: FindMyWayOptions): FindMyWay {
  const router = findMyWay({ ...options, defaultRoute: () => undefined });
  for (const { method, url, constraints } of routes) {
    const report = (_request: unknown, _response: unknown, params: Record<string, unknown>) => ({
      pattern: url,
      params,
    });
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

/** What programs say that they accept, and Chromium, whose last parameter looks like a version to Nest. */
const ACCEPT = [
  '*/*',
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7',
];

/** Requests as those send them who follow a link, as far as routers read them. */
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
