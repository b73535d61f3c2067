import { ConfigurableModuleBuilder, Inject, Module } from '@nestjs/common';
import type {
  BeforeApplicationShutdown,
  DynamicModule,
  InjectionToken,
  OnApplicationShutdown,
  OnModuleInit,
  Provider,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { AbstractHttpAdapter } from '@nestjs/core';
import type { Server } from 'node:http';
import { RunningDeliveries } from './delivery/run.js';
import { DownloadEvents } from './events/download-events.js';
import { LinkCookies } from './http/link-cookies.js';
import { LeaseKeeper } from './leases/keeper.js';
import { DownloadLinks } from './links/download-links.js';
import { LinkOpener } from './links/open-link.js';
import { LinkTokens } from './links/link-tokens.js';
import { RouteRegistry } from './links/route-registry.js';
import type { DownloadAuthOptions } from './download-auth-options.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { requireOptions, RESOLVED_OPTIONS, resolveOptions } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { LinkPrompts } from './prompts/link-prompts.js';
import { RequestReport } from './request-report.js';
import { RouteCheck } from './route-check.js';
import { AccessTokens } from './tokens/access-tokens.js';
import { DownloadCookie } from './tokens/download-cookie.js';
import { VerifiedTokens, SignatureVerifier } from './tokens/signatures.js';

interface ModuleExtras {
  /**
   * Whether every module of the application sees this instance. Default `true`. With `false`, import the
   * module where its downloads are: so two instances with different options live in one application.
   */
  isGlobal?: boolean;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<DownloadAuthOptions>()
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createDownloadAuthOptions')
    .setExtras<ModuleExtras>({ isGlobal: true }, (definition, { isGlobal }) => ({
      ...definition,
      global: isGlobal,
    }))
    .build();

/** Provides a class by its constructor, whose parameters Nest looks up in this order. */
function made<Dependencies extends unknown[]>(
  type: new (...dependencies: Dependencies) => unknown,
  ...inject: InjectionToken[]
): Provider {
  return { provide: type, useFactory: (...dependencies: Dependencies) => new type(...dependencies), inject };
}

const internals: Provider[] = [
  {
    provide: RESOLVED_OPTIONS,
    useFactory: resolveOptions,
    inject: [{ token: MODULE_OPTIONS_TOKEN, optional: true }],
  },
  {
    provide: LeaseKeeper,
    useFactory: ({ leases, clock }: ResolvedOptions, events: DownloadEvents) =>
      new LeaseKeeper(leases, clock, events),
    inject: [RESOLVED_OPTIONS, DownloadEvents],
  },
  made(SignatureVerifier),
  made(VerifiedTokens, RESOLVED_OPTIONS),
  made(LinkTokens, RESOLVED_OPTIONS, VerifiedTokens),
  made(LinkCookies, RESOLVED_OPTIONS, HttpAdapterHost),
  made(LinkOpener, RESOLVED_OPTIONS, LinkTokens, RouteRegistry, LeaseKeeper, LinkCookies),
  made(LinkPrompts, RESOLVED_OPTIONS, LeaseKeeper, LinkCookies, HttpAdapterHost),
  made(AccessTokens, RESOLVED_OPTIONS, VerifiedTokens, SignatureVerifier),
  made(DownloadLinks, RESOLVED_OPTIONS, LinkTokens, RouteRegistry, LeaseKeeper, DownloadEvents),
  made(DownloadCookie, RESOLVED_OPTIONS, HttpAdapterHost),
  RouteRegistry,
  RouteCheck,
  RequestReport,
  RunningDeliveries,
  DownloadEvents,
];

/**
 * Adds private downloads to an application: `@StreamDownload()` routes that take the access token from the
 * `Authorization` header, the `ss-tok` query parameter or the `ss-tok` cookie, and expiring links to them.
 *
 * @example
 * ```ts
 * @Module({ imports: [DownloadAuthModule.forRoot({ secret: process.env.JWT_SECRET })] })
 * export class AppModule {}
 * ```
 */
@Module({
  providers: internals,
  exports: [
    RESOLVED_OPTIONS,
    AccessTokens,
    LinkOpener,
    LeaseKeeper,
    LinkPrompts,
    RequestReport,
    RunningDeliveries,
    DownloadLinks,
    DownloadCookie,
    DownloadEvents,
  ],
})
export class DownloadAuthModule
  extends ConfigurableModuleClass
  implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown
{
  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    private readonly deliveries: RunningDeliveries,
    private readonly signatures: SignatureVerifier,
    private readonly keeper: LeaseKeeper,
    private readonly events: DownloadEvents,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    super();
    events.followBy((linkId) => keeper.follow(linkId));
  }

  /**
   * @throws DownloadAuthConfigurationError, when the application starts, for options that cannot work; the
   *   message says what to write instead
   */
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    requireOptions(options);
    return super.forRoot(options);
  }

  /**
   * As {@link forRoot}, with options that are made when the application starts: by `useFactory`, or by
   * `createDownloadAuthOptions()` of a class given as `useClass` or `useExisting`.
   *
   * @example
   * ```ts
   * DownloadAuthModule.forRootAsync({
   *   imports: [ConfigModule],
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ secret: config.getOrThrow('JWT_SECRET') }),
   * })
   * ```
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    const makers = ['useFactory', 'useClass', 'useExisting'] as const;
    if (!makers.some((maker) => options?.[maker])) {
      throw new DownloadAuthConfigurationError(
        'forRootAsync: nothing makes the options. Write forRootAsync({ inject: [ConfigService], useFactory: (config) => ' +
          "({ secret: config.getOrThrow('JWT_SECRET') }) }), or give useClass or useExisting: a class with " +
          'createDownloadAuthOptions().',
      );
    }
    return super.forRootAsync(options);
  }

  async onModuleInit(): Promise<void> {
    await this.keeper.start();
  }

  /** The server closes next and waits for every connection; this limits how long. */
  beforeApplicationShutdown(): void {
    this.events.endFollowing();
    const adapter = this.adapterHost.httpAdapter as AbstractHttpAdapter<Server> | null | undefined;
    this.deliveries.endWithin(this.options.shutdownTimeout * 1000, adapter?.getHttpServer());
  }

  async onApplicationShutdown(): Promise<void> {
    this.signatures.dispose();
    await this.keeper.ended();
    await this.keeper.close();
    this.events.close();
  }
}
