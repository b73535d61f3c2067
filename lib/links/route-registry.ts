import { Inject, Injectable, RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { OnModuleInit, Type, VersioningOptions } from '@nestjs/common';
import { HOST_METADATA, MODULE_PATH, PATH_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import {
  ApplicationConfig,
  DiscoveryService,
  HttpAdapterHost,
  MetadataScanner,
  ModulesContainer,
} from '@nestjs/core';
import { PathsExplorer } from '@nestjs/core/router/paths-explorer.js';
import type { RouteDefinition } from '@nestjs/core/router/paths-explorer.js';
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js';
import { withAdapter } from '../http/adapter-host.js';
import { answersItself, markedOptions, standsFor } from '../http/handler-metadata.js';
import { PerRoute } from '../http/notes.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { routerOf } from './adapter-router.js';
import type { AdapterRouter, RouteVersions, UrlReader } from './adapter-router.js';

/** What a link depends on of a route, be it of this application or of another process. */
export interface LinkedRoute {
  /**
   * What the handler is known by, across processes and restarts: the route's name; without one, the names of
   * class and method, with its hosts and versions.
   */
  readonly id: string;
  /** `GET` for `@Get()`, `@Head()` and `@All()` handlers. */
  readonly method: string;
  /** `FilesController.download`, for messages. */
  readonly label: string;
  /** The handler sends the answer itself, where nothing can be counted. */
  readonly answersItself?: boolean;
  /** Those of its `@StreamDownload()`; undefined without one, and where another process knows them. */
  readonly options?: ReturnType<typeof markedOptions>;
}

/** A handler and all that Nest's router knows of it. */
export interface Route extends LinkedRoute {
  readonly controller: Type;
  readonly handler: object;
  readonly requestMethod: RequestMethod;
  /** In the spelling of the adapter: global prefix, version and module path included. */
  readonly patterns: readonly string[];
  readonly hosts: readonly (string | RegExp)[];
  /** Those that a request names elsewhere than in its path; undefined where it need not. */
  readonly versions: RouteVersions | undefined;
}

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

  /**
   * The route of a handler.
   * @throws DownloadAuthConfigurationError for an unknown controller, a method that is not a route, a route
   *   that no guard of this package protects
   */
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
    return (this.found ??= this.collect());
  }

  get versioning(): VersioningOptions | undefined {
    return this.config.getVersioning();
  }

  /** Whether a route serves a URL to a client that adds no header. */
  servesVersion({ versions }: Route, url: URL): boolean {
    const { versioning, router } = this;
    return !versions || !versioning || !router || router.servesVersion(url, versions, versioning);
  }

  private collect(): Route[] {
    const explorer = new PathsExplorer(new MetadataScanner());
    const hosts = new Map<Type, object>();
    for (const { metatype, host } of new DiscoveryService(this.modules).getControllers()) {
      const controller = metatype as Type;
      if (!hosts.has(controller)) {
        hosts.set(controller, host?.metatype as Type);
      }
    }
    return [...hosts].flatMap(([controller, module]) =>
      explorer
        .scanForPaths(controller.prototype as object, controller.prototype as object)
        .map((definition) => this.describe(controller, module, definition)),
    );
  }

  private describe(controller: Type, module: object, definition: RouteDefinition): Route {
    const { requestMethod, methodName, targetCallback: handler } = definition;
    const { versioning } = this;
    const hosts = listOf<string | RegExp>(Reflect.getMetadata(HOST_METADATA, controller));
    const ofController = Reflect.getMetadata(VERSION_METADATA, controller) as RouteDefinition['version'];
    const versions = versioning && (definition.version ?? ofController ?? versioning.defaultVersion);
    const retrieves = [RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL].includes(requestMethod);
    const label = `${controller.name}.${methodName}`;
    const options = markedOptions(controller, handler);
    // two classes of one name may share a path, as long as they differ in these
    const conditions = [
      ...hosts.map((host) => `host=${String(host)}`),
      ...listOf(versions).map((version) => `version=${String(version)}`),
    ];
    return {
      id: options?.name ?? [label, ...conditions].join(' '),
      method: retrieves ? 'GET' : RequestMethod[requestMethod],
      label,
      options,
      controller,
      handler,
      answersItself: answersItself(controller, handler),
      requestMethod,
      patterns: this.patternsOf(controller, module, definition, versions),
      hosts,
      versions: versioning?.type === VersioningType.URI ? undefined : versions,
    };
  }

  private patternsOf(
    controller: Type,
    module: object,
    { path, requestMethod }: RouteDefinition,
    versions: RouteVersions | undefined,
  ): string[] {
    const factory = new RoutePathFactory(this.config);
    const prefix = this.config.getGlobalPrefix();
    const metadata: Parameters<RoutePathFactory['create']>[0] = {
      globalPrefix: prefix && `/${prefix.replace(/^\//, '')}`,
      modulePath: (Reflect.getMetadata(MODULE_PATH + this.modules.applicationId, module) ??
        Reflect.getMetadata(MODULE_PATH, module)) as string | undefined,
      versioningOptions: this.versioning,
      // a handler that serves several versions, or requests without one, is linked to by a versioned path
      methodVersion: Array.isArray(versions)
        ? [...versions].sort((a, b) => Number(a === VERSION_NEUTRAL) - Number(b === VERSION_NEUTRAL))
        : versions,
    };
    return listOf<string>(Reflect.getMetadata(PATH_METADATA, controller))
      .flatMap((ctrlPath) => path.map((methodPath) => ({ ...metadata, ctrlPath, methodPath })))
      .flatMap((one) => factory.create(one, requestMethod))
      .map((one) => this.router?.patternOf(one) ?? one);
  }
}

/** The method under which the router has a route. */
export function routerMethod({ requestMethod, method }: Route): string {
  return requestMethod === RequestMethod.HEAD ? 'HEAD' : method;
}

function listOf<T>(value: unknown): T[] {
  return value === undefined ? [] : ([value].flat() as T[]);
}
