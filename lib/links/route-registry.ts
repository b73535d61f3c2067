import { Inject, Injectable, RequestMethod, type Type, VERSION_NEUTRAL } from '@nestjs/common';
import {
  HOST_METADATA,
  METHOD_METADATA,
  MODULE_PATH,
  PATH_METADATA,
  VERSION_METADATA,
} from '@nestjs/common/constants.js';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js';
import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import { PerRoute } from '../options/per-route.js';
import { STREAM_DOWNLOAD } from '../options/stream-download.metadata.js';

/** A handler of a controller, as the router has registered it. */
export interface Route {
  /** Tells handlers apart, across processes and restarts: class, method, paths, hosts and versions. */
  readonly id: string;
  /** The first path the handler is served at: global prefix, version and module path included, no public URL. */
  readonly path: string;
  /** `GET` for `@Get()`, `@Head()` and `@All()` handlers. */
  readonly method: string;
  /** The controller is bound to a host with parameters, such as `:tenant.example.com`. */
  readonly hasHostParameters: boolean;
}

type Version = string | typeof VERSION_NEUTRAL;
type Versions = Version | Version[] | undefined;

/** Finds out where handlers are served, by the very function that Nest's router asks. */
@Injectable()
export class RouteRegistry {
  private readonly routes = new PerRoute<Route>();

  constructor(
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /**
   * The route that a link is made to.
   * @throws DownloadAuthConfigurationError for an unknown controller, a method that is no route, a route that no guard of
   *   this package protects
   */
  byName(controller: Type, method: string): Route {
    const handler: unknown = (controller.prototype as Record<string, unknown>)[method];
    if (typeof handler !== 'function' || Reflect.getMetadata(PATH_METADATA, handler) === undefined) {
      throw new DownloadAuthConfigurationError(
        `${controller.name}.${method} is no route. Name a method that carries @Get().`,
      );
    }
    if (!isDownload(handler) && !isDownload(controller)) {
      throw new DownloadAuthConfigurationError(
        `${controller.name}.${method} would not look at a link. Mark it with @StreamDownload().`,
      );
    }
    return this.byHandler(controller, handler);
  }

  byHandler(controller: Type, handler: unknown): Route {
    return this.routes.get(controller, handler, () => this.describe(controller, handler as object));
  }

  private describe(controller: Type, handler: object): Route {
    const paths = this.pathsOf(controller, handler);
    const requestMethod = (Reflect.getMetadata(METHOD_METADATA, handler) ??
      RequestMethod.GET) as RequestMethod;
    const retrieves = [RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL].includes(requestMethod);
    const hosts = listOf<string | RegExp>(Reflect.getMetadata(HOST_METADATA, controller));
    // two classes of one name may share a path, as long as they differ in these
    const conditions = [
      ...hosts.map((host) => `host=${String(host)}`),
      ...listOf<Version>(this.versionOf(controller, handler)).map((version) => `version=${String(version)}`),
    ];
    return {
      id: [`${controller.name}.${methodName(controller, handler)}`, ...paths, ...conditions].join(' '),
      path: paths[0] as string,
      method: retrieves ? 'GET' : RequestMethod[requestMethod],
      hasHostParameters: hosts.some((one) => typeof one === 'string' && one.includes(':')),
    };
  }

  private versionOf(controller: Type, handler: object): Versions {
    if (this.config.getVersioning() === undefined) return undefined;
    return (Reflect.getMetadata(VERSION_METADATA, handler) ??
      Reflect.getMetadata(VERSION_METADATA, controller)) as Versions;
  }

  private pathsOf(controller: Type, handler: object): string[] {
    const module = [...this.modules.values()].find((one) => one.controllers.has(controller));
    if (!module) {
      throw new DownloadAuthConfigurationError(
        `${controller.name} is no controller of this application. List it in the controllers of a module.`,
      );
    }
    const modulePath = (Reflect.getMetadata(MODULE_PATH + this.modules.applicationId, module.metatype) ??
      Reflect.getMetadata(MODULE_PATH, module.metatype)) as string | undefined;
    const versioningOptions = this.config.getVersioning();
    const controllerVersion = (Reflect.getMetadata(VERSION_METADATA, controller) ??
      versioningOptions?.defaultVersion) as Versions;
    const methodVersion = Reflect.getMetadata(VERSION_METADATA, handler) as Versions;
    const requestMethod = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod;
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
          requestMethod,
        ),
      ),
    );
  }
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
  if (!Array.isArray(version)) return version;
  return [...version].sort((a, b) => Number(a === VERSION_NEUTRAL) - Number(b === VERSION_NEUTRAL));
}

function methodName(controller: Type, handler: unknown): string {
  for (
    let prototype = controller.prototype as object | null;
    prototype;
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    const found = Object.entries(Object.getOwnPropertyDescriptors(prototype)).find(
      ([, descriptor]) => descriptor.value === handler,
    );
    if (found) return found[0];
  }
  return (handler as { name: string }).name;
}
