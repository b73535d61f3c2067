import { RequestMethod, VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { HOST_METADATA, MODULE_PATH, PATH_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { PathsExplorer } from '@nestjs/core/router/paths-explorer.js';
import type { RouteDefinition } from '@nestjs/core/router/paths-explorer.js';
import { RoutePathFactory } from '@nestjs/core/router/route-path-factory.js';
import { answersItself, markedOptions } from '../http/handler-metadata.js';
import type { RouteVersions } from './adapter-router.js';

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

/** Every route of every controller, in the order in which Nest registers them. */
export function nestRoutes(config: ApplicationConfig, modules: ModulesContainer): Route[] {
  const explorer = new PathsExplorer(new MetadataScanner());
  const found = new Map<Type, object>();
  for (const { metatype, host } of new DiscoveryService(modules).getControllers()) {
    const controller = metatype as Type;
    found.set(controller, found.get(controller) ?? (host?.metatype as Type));
  }
  return [...found].flatMap(([controller, module]) => {
    const prototype = controller.prototype as object;
    const modulePath = (Reflect.getMetadata(MODULE_PATH + modules.applicationId, module) ??
      Reflect.getMetadata(MODULE_PATH, module)) as string | undefined;
    return explorer
      .scanForPaths(prototype, prototype)
      .map((definition) => routeOf(controller, definition, config, modulePath));
  });
}

function routeOf(
  controller: Type,
  definition: RouteDefinition,
  config: ApplicationConfig,
  modulePath: string | undefined,
): Route {
  const { requestMethod, methodName, targetCallback: handler } = definition;
  const versioning = config.getVersioning();
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
  const factory = new RoutePathFactory(config);
  const metadata: Parameters<RoutePathFactory['create']>[0] = {
    globalPrefix: config.getGlobalPrefix().replace(/^\/?(?=.)/, '/'),
    modulePath,
    versioningOptions: versioning,
    // a handler that serves several versions, or requests without one, is linked to by a versioned path
    methodVersion: Array.isArray(versions)
      ? [...versions].sort((a, b) => Number(a === VERSION_NEUTRAL) - Number(b === VERSION_NEUTRAL))
      : versions,
  };
  const patterns = listOf<string>(Reflect.getMetadata(PATH_METADATA, controller))
    .flatMap((ctrlPath) => definition.path.map((methodPath) => ({ ...metadata, ctrlPath, methodPath })))
    .flatMap((one) => factory.create(one, requestMethod));
  return {
    id: options?.name ?? [label, ...conditions].join(' '),
    method: retrieves ? 'GET' : RequestMethod[requestMethod],
    label,
    options,
    controller,
    handler,
    answersItself: answersItself(controller, handler),
    requestMethod,
    patterns,
    hosts,
    versions: versioning?.type === VersioningType.URI ? undefined : versions,
  };
}

/** The method under which the router has a route. */
export function routerMethod({ requestMethod, method }: Route): string {
  return requestMethod === RequestMethod.HEAD ? 'HEAD' : method;
}

function listOf<T>(value: unknown): T[] {
  return value === undefined ? [] : ([value].flat() as T[]);
}
