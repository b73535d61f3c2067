import {
  ConfigurableModuleBuilder,
  type DynamicModule,
  Module,
  type OnApplicationShutdown,
  type Provider,
} from '@nestjs/common';
import { DownloadLinks } from './links/download-links.js';
import { LinkOpener } from './links/link-opener.js';
import { LinkTokens } from './links/link-tokens.js';
import { RouteRegistry } from './links/route-registry.js';
import type { DownloadAuthOptions } from './options/download-auth-options.js';
import { RESOLVED_OPTIONS, type ResolvedOptions, resolveOptions } from './options/resolve-options.js';
import { AccessTokens } from './tokens/access-tokens.js';
import { DownloadCookie } from './tokens/download-cookie.js';
import { SignatureVerifier } from './tokens/jwt.strategy.js';
import { QueryWarning } from './tokens/query-warning.js';
import { VerifiedTokens } from './tokens/verified-tokens.js';

interface ModuleExtras {
  /**
   * Whether every module of the application sees this instance. Default `true`. With `false`, import the module
   * where its downloads are: so two instances with different options live in one application.
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

const internals: Provider[] = [
  { provide: RESOLVED_OPTIONS, useFactory: resolveOptions, inject: [MODULE_OPTIONS_TOKEN] },
  { provide: SignatureVerifier, useFactory: () => new SignatureVerifier() },
  {
    provide: AccessTokens,
    useFactory: (options: ResolvedOptions, signatures: SignatureVerifier) =>
      new AccessTokens(
        options,
        signatures,
        new VerifiedTokens(options.verifiedTokenCacheSize, options.clock),
      ),
    inject: [RESOLVED_OPTIONS, SignatureVerifier],
  },
  {
    provide: LinkTokens,
    useFactory: (options: ResolvedOptions, signatures: SignatureVerifier) =>
      new LinkTokens(options.linkKeys, signatures, options.clock),
    inject: [RESOLVED_OPTIONS, SignatureVerifier],
  },
  {
    provide: LinkOpener,
    useFactory: (options: ResolvedOptions, tokens: LinkTokens, routes: RouteRegistry) =>
      new LinkOpener(options, tokens, routes),
    inject: [RESOLVED_OPTIONS, LinkTokens, RouteRegistry],
  },
  { provide: QueryWarning, useFactory: () => new QueryWarning() },
  RouteRegistry,
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
  providers: [...internals, DownloadLinks, DownloadCookie],
  exports: [RESOLVED_OPTIONS, AccessTokens, LinkOpener, QueryWarning, DownloadLinks, DownloadCookie],
})
export class DownloadAuthModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(private readonly signatures: SignatureVerifier) {
    super();
  }

  /**
   * @throws DownloadAuthConfigurationError, when the application starts, for options that cannot work; the message
   *   says what to write instead
   */
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
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
    return super.forRootAsync(options);
  }

  onApplicationShutdown(): void {
    this.signatures.dispose();
  }
}
