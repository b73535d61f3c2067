import { Inject, Injectable, Logger } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { HttpAdapterHost, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { Server as TlsServer } from 'node:tls';
import { DownloadAuthGuard } from './download-auth.guard.js';
import { RouteRegistry } from './links/route-registry.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { markedOptions } from './http/handler-metadata.js';
import { routeOptions } from './route-options.js';

/** Names of classes from bundlers that minify are this short; `App` is not a controller that serves files. */
const MINIFIED_LENGTH = 3;

/**
 * Lays the options of every marked route over those of the module when the application starts: a decorator
 * alone cannot see that the two leave nothing.
 */
@Injectable()
export class RouteCheck implements OnModuleInit {
  private hasWarned = false;

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(RouteRegistry) private readonly routes: RouteRegistry,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
  ) {}

  async onModuleInit(): Promise<void> {
    this.warnOfPlainHttp();
    warnOfSharedCaching('forRoot', this.options.delivery?.cacheControl);
    this.checkNames();
    this.checkToldRoutes();
    for (const { controllers, injectables } of this.modules.values()) {
      const guard: unknown = injectables.get(DownloadAuthGuard)?.instance;
      if (!(guard instanceof DownloadAuthGuard)) {
        continue;
      }
      for (const { metatype } of controllers.values()) {
        const controller = metatype as new () => object;
        if (guard.options === this.options) {
          await this.check(controller, guard);
        } else if (!this.isTrustedBy(guard)) {
          const [theirs, ours] = [guard.options, this.options].map((options) => this.nameOf(options));
          this.routes.guardedElsewhere.set(
            controller,
            `${theirs}, and this DownloadLinks belongs to ${ours}`,
          );
        }
      }
    }
  }

  /** Whether a guard, of another instance of the module, opens links that this one makes. */
  private isTrustedBy({ options: { linkKeys } }: DownloadAuthGuard): boolean {
    const [own] = this.options.linkKeys;
    return linkKeys.some(({ kid }) => kid === own?.kid);
  }

  /** An instance of the module by the modules that import it. */
  private nameOf(options: ResolvedOptions): string {
    const importers = [...this.modules.values()].filter(({ imports }) =>
      [...imports].some(({ providers }) => providers.get(RESOLVED_OPTIONS)?.instance === options),
    );
    return `that of ${importers.map(({ name }) => name).join(' and ')}`;
  }

  private async check(controller: new () => object, guard: DownloadAuthGuard): Promise<void> {
    if (routeOptions(controller, controller).name !== undefined) {
      throw new DownloadAuthConfigurationError(
        `${controller.name}: @StreamDownload({ name }) names one route. Write it on a method.`,
      );
    }
    const prototype = controller.prototype as Record<string, () => unknown>;
    for (const name of new MetadataScanner().getAllMethodNames(prototype)) {
      const handler = prototype[name] as () => unknown;
      if (!markedOptions(controller, handler) || !Reflect.hasMetadata(PATH_METADATA, handler)) {
        continue;
      }
      const own = routeOptions(controller, handler);
      if (own.name === undefined) {
        this.warnOfMinifiedName(controller.name);
      }
      warnOfSharedCaching(`${controller.name}.${name}`, own.delivery?.cacheControl);
      try {
        await guard.prepare(controller, handler);
      } catch (error) {
        throw error instanceof DownloadAuthConfigurationError
          ? new DownloadAuthConfigurationError(`${controller.name}.${name}: ${error.message}`)
          : error;
      }
    }
  }

  /** Otherwise the users are the first to notice plain HTTP in production. */
  private warnOfPlainHttp(): void {
    const servesPlainHttp =
      this.routes.router && !(this.adapterHost.httpAdapter.getHttpServer() instanceof TlsServer);
    const { auth, isSecureByDefault } = this.options;
    if (isSecureByDefault && auth !== false && servesPlainHttp) {
      new Logger('DownloadAuth').warn(
        'In production, downloads over plain HTTP are refused with 403 INSECURE_CONNECTION. Behind a proxy that ends ' +
          "TLS, trust it: app.set('trust proxy', 'loopback') on Express, new FastifyAdapter({ trustProxy: 'loopback' }) " +
          'on Fastify. To allow plain HTTP, write requireSecureConnection: false; true silences this line.',
      );
    }
  }

  private checkNames(): void {
    for (const route of this.routes.list) {
      const name = route.options?.name;
      const first = name === undefined ? route : this.routes.byName(name);
      if (first && first !== route) {
        throw new DownloadAuthConfigurationError(
          `@StreamDownload({ name: '${name}' }) is on ${first.label} and on ${route.label}. ` +
            'Give each route a name of its own.',
        );
      }
    }
  }

  /** A path that another process is told and that is not the route's makes links that open nothing. */
  private checkToldRoutes(): void {
    if (!this.routes.router) {
      return;
    }
    for (const [name, { route: told, pattern: path }] of this.options.links.routes) {
      const route = this.routes.byName(name);
      if (route && (!route.patterns.includes(path) || route.method !== told.method)) {
        throw new DownloadAuthConfigurationError(
          `links.routes.${name}: ${route.label} is served at ${route.method} ${route.patterns.join(', ')}, not at ` +
            `${told.method} ${path}. Write { path: '${route.patterns[0]}', method: '${route.method}' }.`,
        );
      }
    }
  }

  /** A minifier renames classes in every build, and the next build refuses the links of the last one. */
  private warnOfMinifiedName(name: string): void {
    if (this.hasWarned || name.length > MINIFIED_LENGTH) {
      return;
    }
    this.hasWarned = true;
    new Logger('DownloadAuth').warn(
      `The controller class '${name}' looks minified. Its name is part of links, which the next build would ` +
        "refuse: name its routes, @StreamDownload({ name: 'file' }), or keep class names.",
    );
  }
}

/**
 * A shared cache knows nothing of tokens: it would give a private file to whoever asks for its URL (RFC 9111
 * §3.5).
 */
function warnOfSharedCaching(place: string, cacheControl: string | false | undefined): void {
  if (cacheControl && /(?:^|[ ,])(?:public|s-maxage)(?:$|[ ,=])/i.test(cacheControl)) {
    new Logger('DownloadAuth').warn(
      `${place}: delivery.cacheControl "${cacheControl}" lets shared caches (a CDN, a proxy) give private files to ` +
        "people without a token. Write 'private, max-age=…' instead.",
    );
  }
}
