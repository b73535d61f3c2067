import {
  Inject,
  Injectable,
  RequestMethod,
  type Type,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import {
  HOST_METADATA,
  METHOD_METADATA,
  MODULE_PATH,
  PATH_METADATA,
  VERSION_METADATA,
} from '@nestjs/common/constants.js';
import {
  type AbstractHttpAdapter,
  ApplicationConfig,
  HttpAdapterHost,
  MetadataScanner,
  ModulesContainer,
} from '@nestjs/core';
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js';
import { answersItself, methodName, routeName, STREAM_DOWNLOAD } from '../http/handler-metadata.js';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { PerRoute } from '../http/per-route.js';
import { type AdapterRouter, routerOf, type RouteVersions } from './adapter-router.js';

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
  /** Whether a guard of this package looks at its requests. */
  readonly isDownload: boolean;
  /**
   * The handler sends the answer itself, where nothing can be counted. Unknown of another process's route.
   */
  readonly answersItself?: boolean;
  readonly requestMethod: RequestMethod;
  /** In the spelling of the adapter: global prefix, version and module path included. */
  readonly patterns: readonly string[];
  readonly hosts: readonly (string | RegExp)[];
  /** Those that a request has to say otherwise than by its path; undefined where it need not. */
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
  private all: ReadonlyMap<Type, readonly Route[]> | undefined;

  constructor(
    @Inject(ApplicationConfig) readonly config: ApplicationConfig,
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
   * @throws DownloadAuthConfigurationError for an unknown controller, a method that is no route, a route that
   *   no guard of this package protects
   */
  byHandler(controller: Type, method: string): Route {
    const handler: unknown = (controller.prototype as Record<string, unknown>)[method];
    const label = `${controller.name}.${method}`;
    if (typeof handler !== 'function' || Reflect.getMetadata(PATH_METADATA, handler) === undefined) {
      throw new DownloadAuthConfigurationError(`${label} is no route. Name a method that carries @Get().`);
    }
    if (!isDownload(handler) && !isDownload(controller)) {
      throw new DownloadAuthConfigurationError(
        `${label} would not look at a link. Mark it with @StreamDownload().`,
      );
    }
    const route = this.routes.get(controller)?.find((one) => one.label === label);
    if (!route) {
      throw new DownloadAuthConfigurationError(
        `${controller.name} is no controller of this application. List it in the controllers of a module.`,
      );
    }
    return route;
  }

  byName(name: string): Route | undefined {
    return this.list.find((route) => route.name === name);
  }

  names(): string[] {
    return this.list.flatMap(({ name }) => name ?? []);
  }

  /** Every route of every controller, in the order in which Nest registers them. */
  get list(): readonly Route[] {
    return [...this.routes.values()].flat();
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
    // what was found out so far may change: a global prefix, for one
    this.all = undefined;
    throw new DownloadAuthConfigurationError(
      `${route.label}: the router has no ${pattern} yet. Make links after the application is initialised: ` +
        'await app.init() or app.listen(), and global prefix and versioning before it.',
    );
  }

  private get routes(): ReadonlyMap<Type, readonly Route[]> {
    return (this.all ??= this.collect());
  }

  private collect(): ReadonlyMap<Type, readonly Route[]> {
    const found = new Map<Type, readonly Route[]>();
    for (const module of this.modules.values()) {
      for (const { metatype } of module.controllers.values()) {
        const controller = metatype as Type | null;
        if (typeof controller !== 'function' || found.has(controller)) {
          continue;
        }
        const modulePath = (Reflect.getMetadata(MODULE_PATH + this.modules.applicationId, module.metatype) ??
          Reflect.getMetadata(MODULE_PATH, module.metatype)) as string | undefined;
        const prototype = controller.prototype as Record<string, object>;
        const methods = new MetadataScanner()
          .getAllMethodNames(prototype)
          .filter((method) => Reflect.hasMetadata(PATH_METADATA, prototype[method] as object));
        found.set(
          controller,
          methods.map((method) => this.describe(controller, method, prototype[method] as object, modulePath)),
        );
      }
    }
    return found;
  }

  private describe(controller: Type, method: string, handler: object, modulePath: string | undefined): Route {
    return {
      ...this.identity(controller, handler),
      label: `${controller.name}.${method}`,
      name: routeName(handler),
      isDownload: isDownload(handler) || isDownload(controller),
      answersItself: answersItself(controller, handler),
      requestMethod: requestMethodOf(handler),
      patterns: this.pathsOf(controller, handler, modulePath).map(
        (path) => this.router?.patternOf(path) ?? path,
      ),
      hosts: hostsOf(controller),
      versions:
        this.config.getVersioning()?.type === VersioningType.URI
          ? undefined
          : this.versionsOf(controller, handler),
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
    return {
      id:
        routeName(handler) ??
        [`${controller.name}.${methodName(controller, handler)}`, ...conditions].join(' '),
      method: retrieves ? 'GET' : RequestMethod[requestMethod],
    };
  }

  private versionsOf(controller: Type, handler: object): Versions {
    const versioning = this.config.getVersioning();
    if (versioning === undefined) {
      return undefined;
    }
    return (Reflect.getMetadata(VERSION_METADATA, handler) ??
      Reflect.getMetadata(VERSION_METADATA, controller) ??
      versioning.defaultVersion) as Versions;
  }

  private pathsOf(controller: Type, handler: object, modulePath: string | undefined): string[] {
    const versioningOptions = this.config.getVersioning();
    const controllerVersion = (Reflect.getMetadata(VERSION_METADATA, controller) ??
      versioningOptions?.defaultVersion) as Versions;
    const methodVersion = Reflect.getMetadata(VERSION_METADATA, handler) as Versions;
    const globalPrefix = withLeadingSlash(this.config.getGlobalPrefix());
    const paths = new RoutePathFactory(this.config);
    return fragments(controller).flatMap((ctrlPath) =>
      fragments(handler).flatMap((methodPath) =>
        paths.create(
          {
            ctrlPath,
            methodPath,
            globalPrefix,
            modulePath,
            versioningOptions,
            controllerVersion: versionedFirst(controllerVersion),
            methodVersion: versionedFirst(methodVersion),
          },
          requestMethodOf(handler),
        ),
      ),
    );
  }
}

/** The method under which the router has a route. */
export function routerMethod({ requestMethod, method }: Route): string {
  return requestMethod === RequestMethod.HEAD ? 'HEAD' : method;
}

function requestMethodOf(handler: object): RequestMethod {
  return (Reflect.getMetadata(METHOD_METADATA, handler) ?? RequestMethod.GET) as RequestMethod;
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

/** A handler that serves several versions and none is linked to by a versioned path. */
function versionedFirst(version: Versions): Versions {
  if (!Array.isArray(version)) {
    return version;
  }
  return [...version].sort((a, b) => Number(a === VERSION_NEUTRAL) - Number(b === VERSION_NEUTRAL));
}
