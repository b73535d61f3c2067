import { Inject, Injectable, RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { OnModuleInit, Type } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { compile, match as matcherOf } from 'path-to-regexp';
import { withAdapter } from '../http/adapter-host.js';
import { markedOptions, standsFor } from '../http/handler-metadata.js';
import { PerRoute } from '../http/notes.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { routerOf } from './adapter-router.js';
import type { AdapterRouter, RouteMatch, UrlReader } from './adapter-router.js';
import { canonical } from './link-resource.js';
import { nestRoutes, routerMethod } from './nest-routes.js';
import type { LinkedRoute, Route } from './nest-routes.js';

/** How a link reaches a route. */
export interface ReachedRoute {
  readonly route: LinkedRoute;
  /** The path of the route, as the router has it. */
  readonly pattern: string;
  /** Where it is known. */
  readonly host?: string;
  /** Answer what the handler would receive, in each of the processes that may serve it: they must agree. */
  readonly readers: readonly UrlReader[];
}

/** Finds out where handlers are served, by the very functions that Nest's router asks. */
@Injectable()
export class RouteRegistry implements OnModuleInit {
  /** Undefined in a process that serves no HTTP. */
  router: AdapterRouter | undefined;
  /** Controllers that an instance of the module with other keys guards, with the words that say which. */
  readonly guardedElsewhere = new Map<Type, string>();
  private readonly requested = new PerRoute<Route | undefined>();
  private found: readonly Route[] | undefined;

  constructor(
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(HttpAdapterHost) host: HttpAdapterHost,
  ) {
    withAdapter(host, (adapter) => {
      this.router = routerOf(adapter);
    });
  }

  /** From now on, global prefix and versioning do not change. */
  onModuleInit(): void {
    this.found = undefined;
  }

  /** The route of a handler that looks at links. */
  byHandler(controller: Type, method: string): Route {
    const handler: unknown = (controller.prototype as Record<string, unknown>)[method];
    const label = `${controller.name}.${method}`;
    if (typeof handler !== 'function' || !Reflect.hasMetadata(PATH_METADATA, handler)) {
      throw new DownloadAuthConfigurationError(`${label} is not a route. Name a method that carries @Get().`);
    }
    if (!markedOptions(controller, handler)) {
      throw new DownloadAuthConfigurationError(
        `${label} would not look at a link. Mark it with @StreamDownload().`,
      );
    }
    const route = this.list.find((one) => one.controller === controller && one.label === label);
    if (!route) {
      throw new DownloadAuthConfigurationError(
        `${controller.name} is not a controller of this application. List it in the controllers of a module.`,
      );
    }
    return route;
  }

  byName(name: string): Route | undefined {
    return this.list.find((route) => route.options?.name === name);
  }

  /** The route of a request. */
  ofRequest(controller: Type, handler: object): Route | undefined {
    return this.requested.get(controller, handler, () => {
      const routes = this.list.filter((route) => route.controller === controller);
      return (
        routes.find((route) => route.handler === handler) ??
        routes.find((route) => standsFor(handler, route.handler))
      );
    });
  }

  /** Every route of every controller, in the order in which Nest registers them. */
  get list(): readonly Route[] {
    return (this.found ??= nestRoutes(this.config, this.modules).map((route) => ({
      ...route,
      patterns: route.patterns.map((path) => this.router?.patternOf(path) ?? path),
    })));
  }

  /** One of the paths of a route, which `path` is or ends; the first one by default. */
  pathOf(route: Route, path: string | undefined): string {
    const { router } = this;
    if (!router) {
      throw new DownloadAuthConfigurationError(
        'This application has no HTTP, so it does not know where its routes are served. Give the route a name and tell the ' +
          "path: links: { routes: { file: '/api/files/:id' } } and links.create('file', …); or write NestFactory.create() in " +
          'place of createApplicationContext() or createMicroservice(), and await app.init(); it need not listen.',
      );
    }
    const wanted = path === undefined ? '' : router.patternOf(`/${path.replace(/^\/|\/$/g, '')}`);
    const pattern = route.patterns.find((one) => one.endsWith(wanted));
    if (pattern === undefined) {
      throw new DownloadAuthConfigurationError(
        `path: ${route.label} has no path ${path}. It has ${route.patterns.join(', ')}.`,
      );
    }
    if (!router.isRegistered(routerMethod(route), pattern)) {
      throw new DownloadAuthConfigurationError(
        `${route.label}: the router has no ${pattern} yet. Make links after the application is initialised: ` +
          'await app.init() or app.listen(), and global prefix and versioning before it.',
      );
    }
    return pattern;
  }

  /** What the handler of a route receives at a URL; undefined where the router does not find its path. */
  read(route: Route, pattern: string, url: URL): RouteMatch | undefined {
    if (!this.servesVersion(route, url)) {
      const versions = [route.versions].flat().filter((version) => version !== VERSION_NEUTRAL);
      throw new DownloadAuthConfigurationError(
        `${route.label} serves version ${versions.join(', ')} only, which ` +
          (this.config.getVersioning()?.type === VersioningType.CUSTOM
            ? 'the extractor does not find in a URL without headers. '
            : 'a browser that follows a link does not ask for: it is in a header. ') +
          'Make it VERSION_NEUTRAL, or put versions into the URL (VersioningType.URI).',
      );
    }
    for (const match of this.router?.matches(routerMethod(route), url) ?? []) {
      const asked = this.list.find(
        (one) => one.patterns.includes(match.pattern) && (one === route || this.hides(one, route, url)),
      );
      if (asked === route && match.pattern === pattern) {
        return match;
      }
      if (asked || this.router?.asksOne) {
        throw new DownloadAuthConfigurationError(
          `${url.pathname} does not lead to ${route.label}: ${asked?.label ?? match.pattern} is asked first. ` +
            'Declare it behind, or give one of them another path.',
        );
      }
    }
    return undefined;
  }

  /** Whether a route answers what is meant for another one, to all hosts. */
  private hides(one: Route, other: Route, url: URL): boolean {
    const isAsked = routerMethod(one) === routerMethod(other) || one.requestMethod === RequestMethod.ALL;
    return isAsked && one.hosts.length === 0 && this.servesVersion(one, url);
  }

  private servesVersion({ versions }: Route, url: URL): boolean {
    const versioning = this.config.getVersioning();
    return !versions || !versioning || this.router?.servesVersion(url, versions, versioning) !== false;
  }
}

/** The host that a link leads to, where it is known: the groups of an expression cannot be filled in. */
export function hostOf(
  { label, hosts: bound }: Route,
  hosts: Readonly<Record<string, string>>,
  publicHost: string | undefined,
): string | undefined {
  const given = canonical(hosts);
  if (bound.length === 0 && given === '{}') {
    return publicHost;
  }
  const names = publicHost ? [publicHost] : bound.flatMap((one) => filledHost(one, hosts) ?? []);
  const found = names.find((name) => bound.some((one) => canonical(hostParams(one, name)) === given));
  const mayFit = (one: string | RegExp) =>
    one instanceof RegExp && one.source.includes('(?<') === (given !== '{}');
  if (found !== undefined || (!publicHost && bound.some(mayFit))) {
    return found;
  }
  throw new DownloadAuthConfigurationError(
    publicHost && bound.length > 0
      ? `${label} is bound to ${bound.join(', ')}, and links.publicUrl leads to ${publicHost}, where it does ` +
          `not receive hosts: ${given}. Leave publicUrl out, and put the origin before the link's url.`
      : `hosts: ${given} does not fit ${bound.join(', ') || `${label}, which is bound to no host`}. Give each of its ` +
          "parameters, such as hosts: { tenant: 'acme' }, in lower case as browsers send host names.",
  );
}

/** The name of a host with its parameters filled in, where a browser can ask for it under that name. */
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

/** The parameters of a host, as Nest's host filter finds them; `undefined` for another host. */
function hostParams(host: string | RegExp, name: string): object | undefined {
  if (host instanceof RegExp) {
    const match = host.exec(name);
    return match ? { ...match.groups } : undefined;
  }
  const match = matcherOf(host, { decode: false })(name);
  return match ? match.params : undefined;
}
