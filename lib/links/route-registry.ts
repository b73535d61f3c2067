import { Inject, Injectable, RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { Type, VersioningOptions } from '@nestjs/common';
import {
  HOST_METADATA,
  METHOD_METADATA,
  MODULE_PATH,
  PATH_METADATA,
  VERSION_METADATA,
} from '@nestjs/common/constants.js';
import { ApplicationConfig, HttpAdapterHost, MetadataScanner, ModulesContainer } from '@nestjs/core';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js';
import { answersItself, methodName, routeName, STREAM_DOWNLOAD } from '../http/handler-metadata.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { PerRoute } from '../http/notes.js';
import { routerOf } from './adapter-router.js';
import type { AdapterRouter, RouteVersions } from './adapter-router.js';

/** What a handler is known by, across processes and restarts. */
export interface RouteIdentity {
  /** The route's name; without one, the names of class and method, with its hosts and versions. */
  readonly id: string;
  /** `GET` for `@Get()`, `@Head()` and `@All()` handlers. */
  readonly method: string;
}

/** A handler and all that Nest's router knows of it. */
export interface Route extends RouteIdentity {
  /** `FilesController.download`, for messages. */
  readonly label: string;
  readonly name: string | undefined;
  readonly controller: Type;
  /** The handler sends the answer itself, where nothing can be counted. */
  readonly answersItself?: boolean;
  readonly requestMethod: RequestMethod;
  /** In the spelling of the adapter: global prefix, version and module path included. */
  readonly patterns: readonly string[];
  readonly hosts: readonly (string | RegExp)[];
  /** Those that a request names elsewhere than in its path; undefined where it need not. */
  readonly versions: RouteVersions | undefined;
}

type Version = string | typeof VERSION_NEUTRAL;
type Versions = Version | Version[] | undefined;

/** Finds out where handlers are served, by the very function that Nest's router asks. */
@Injectable()
export class RouteRegistry {
  /** Undefined in a process that serves no HTTP. */
  router: AdapterRouter | undefined;
  private readonly identities = new PerRoute<RouteIdentity>();
  private found: readonly Route[] | undefined;

  constructor(
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(HttpAdapterHost) host: HttpAdapterHost,
  ) {
    // Test.createTestingModule() makes the adapter after the modules, but before it registers any route
    host.init$.subscribe(() => {
      const adapter = host.httpAdapter as AbstractHttpAdapter | null | undefined;
      this.router = adapter ? routerOf(adapter) : undefined;
    });
  }

  /**
   * The route of a handler.
   * @throws DownloadAuthConfigurationError for an unknown controller, a method that is not a route, a route
   *   that no guard of this package protects
   */
  byHandler(controller: Type, method: string): Route {
    const handler: unknown = (controller.prototype as Record<string, unknown>)[method];
    const label = `${controller.name}.${method}`;
    if (typeof handler !== 'function' || Reflect.getMetadata(PATH_METADATA, handler) === undefined) {
      throw new DownloadAuthConfigurationError(`${label} is not a route. Name a method that carries @Get().`);
    }
    if (!isDownload(handler) && !isDownload(controller)) {
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
    return this.list.find((route) => route.name === name);
  }

  /** Every route of every controller, in the order in which Nest registers them. */
  get list(): readonly Route[] {
    return (this.found ??= this.collect());
  }

  /** What the handler of a request is known by. */
  identify(controller: Type, handler: object): RouteIdentity {
    return this.identities.get(controller, handler, () => this.identity(controller, handler));
  }

  /** @throws DownloadAuthConfigurationError for a route that is not registered yet */
  requireRegistered(route: Route, pattern: string): void {
    if (this.router?.isRegistered(routerMethod(route), pattern)) {
      return;
    }
    // a global prefix, for one, may still be set
    this.found = undefined;
    throw new DownloadAuthConfigurationError(
      `${route.label}: the router has no ${pattern} yet. Make links after the application is initialised: ` +
        'await app.init() or app.listen(), and global prefix and versioning before it.',
    );
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
    const found = new Map<Type, Route[]>();
    for (const module of this.modules.values()) {
      const modulePath = (Reflect.getMetadata(MODULE_PATH + this.modules.applicationId, module.metatype) ??
        Reflect.getMetadata(MODULE_PATH, module.metatype)) as string | undefined;
      for (const { metatype } of module.controllers.values()) {
        const controller = metatype as Type;
        if (!found.has(controller)) {
          found.set(controller, this.routesOf(controller, modulePath));
        }
      }
    }
    return [...found.values()].flat();
  }

  private routesOf(controller: Type, modulePath: string | undefined): Route[] {
    const prototype = controller.prototype as Record<string, object>;
    return new MetadataScanner().getAllMethodNames(prototype).flatMap((method) => {
      const handler = prototype[method] as object;
      return Reflect.hasMetadata(PATH_METADATA, handler)
        ? this.describe(controller, method, handler, modulePath)
        : [];
    });
  }

  private describe(controller: Type, method: string, handler: object, modulePath: string | undefined): Route {
    const paths = this.pathsOf(controller, handler, modulePath);
    const inPath = this.versioning?.type === VersioningType.URI;
    return {
      ...this.identity(controller, handler),
      controller,
      label: `${controller.name}.${method}`,
      name: routeName(handler),
      answersItself: answersItself(controller, handler),
      requestMethod: requestMethodOf(handler),
      patterns: paths.map((path) => this.router?.patternOf(path) ?? path),
      hosts: hostsOf(controller),
      versions: inPath ? undefined : this.versionsOf(controller, handler),
    };
  }

  private identity(controller: Type, handler: object): RouteIdentity {
    const requestMethod = requestMethodOf(handler);
    const retrieves = [RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL].includes(requestMethod);
    // two classes of one name may share a path, as long as they differ in these
    const conditions = [
      ...hostsOf(controller).map((host) => `host=${String(host)}`),
      ...listOf<Version>(this.versionsOf(controller, handler)).map((version) => `version=${String(version)}`),
    ];
    const named = [`${controller.name}.${methodName(controller, handler)}`, ...conditions].join(' ');
    return {
      id: routeName(handler) ?? named,
      method: retrieves ? 'GET' : RequestMethod[requestMethod],
    };
  }

  private versionsOf(controller: Type, handler: object): Versions {
    const { versioning } = this;
    return versioning && (versionOf(handler) ?? versionOf(controller) ?? versioning.defaultVersion);
  }

  private pathsOf(controller: Type, handler: object, modulePath: string | undefined): string[] {
    const paths = new RoutePathFactory(this.config);
    const metadata: Parameters<RoutePathFactory['create']>[0] = {
      globalPrefix: withLeadingSlash(this.config.getGlobalPrefix()),
      modulePath,
      versioningOptions: this.versioning,
      controllerVersion: versionedFirst(versionOf(controller) ?? this.versioning?.defaultVersion),
      methodVersion: versionedFirst(versionOf(handler)),
    };
    return fragments(controller).flatMap((ctrlPath) =>
      fragments(handler).flatMap((methodPath) =>
        paths.create({ ctrlPath, methodPath, ...metadata }, requestMethodOf(handler)),
      ),
    );
  }
}

/** The method under which the router has a route. */
export function routerMethod({ requestMethod, method }: Route): string {
  return requestMethod === RequestMethod.HEAD ? 'HEAD' : method;
}

function requestMethodOf(handler: object): RequestMethod {
  return Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod;
}

function versionOf(target: object): Versions {
  return Reflect.getMetadata(VERSION_METADATA, target) as Versions;
}

function hostsOf(controller: Type): (string | RegExp)[] {
  return listOf<string | RegExp>(Reflect.getMetadata(HOST_METADATA, controller));
}

function listOf<T>(value: unknown): T[] {
  return value === undefined ? [] : ([value].flat() as T[]);
}

function isDownload(target: object): boolean {
  return Reflect.getMetadata(STREAM_DOWNLOAD, target) !== undefined;
}

function fragments(target: object): string[] {
  return [Reflect.getMetadata(PATH_METADATA, target) as string | string[]].flat().map(withLeadingSlash);
}

function withLeadingSlash(path: string | undefined): string {
  return path ? `/${path.replace(/^\//, '')}` : '';
}

/** A handler that serves several versions, or requests without one, is linked to by a versioned path. */
function versionedFirst(version: Versions): Versions {
  if (!Array.isArray(version)) {
    return version;
  }
  return [...version].sort((a, b) => Number(a === VERSION_NEUTRAL) - Number(b === VERSION_NEUTRAL));
}
