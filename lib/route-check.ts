import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { MetadataScanner, ModulesContainer, Reflector } from '@nestjs/core';
import { DownloadAuthGuard } from './download-auth.guard.js';
import { DownloadAuthConfigurationError } from './options/configuration-error.js';
import { RESOLVED_OPTIONS, type ResolvedOptions } from './options/resolve-options.js';
import { routePolicy } from './options/route-policy.js';
import { routeOptions, STREAM_DOWNLOAD } from './options/stream-download.metadata.js';

/**
 * Lays the options of every marked route over those of the module when the application starts: a decorator alone
 * cannot see that the two leave nothing.
 */
@Injectable()
export class RouteCheck implements OnModuleInit {
  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Reflector) private readonly reflector: Reflector,
  ) {}

  onModuleInit(): void {
    for (const { controllers, injectables } of this.modules.values()) {
      const isOurs = [...injectables.values()].some(
        ({ instance }) => instance instanceof DownloadAuthGuard && instance.isFor(this.options),
      );
      if (!isOurs) continue;
      for (const { metatype } of controllers.values()) {
        if (typeof metatype === 'function') this.check(metatype as new () => object);
      }
    }
  }

  private check(controller: new () => object): void {
    const prototype = controller.prototype as Record<string, () => unknown>;
    for (const name of new MetadataScanner().getAllMethodNames(prototype)) {
      const handler = prototype[name] as () => unknown;
      const isMarked = [controller, handler].some((target) => Reflect.hasMetadata(STREAM_DOWNLOAD, target));
      if (!isMarked || !Reflect.hasMetadata(PATH_METADATA, handler)) continue;
      try {
        routePolicy(this.options, routeOptions(this.reflector, controller, handler));
      } catch (error) {
        throw error instanceof DownloadAuthConfigurationError
          ? new DownloadAuthConfigurationError(`${controller.name}.${name}: ${error.message}`)
          : error;
      }
    }
  }
}
