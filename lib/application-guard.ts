import { Scope } from '@nestjs/common';
import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import {
  PARAMTYPES_METADATA,
  SCOPE_OPTIONS_METADATA,
  SELF_DECLARED_DEPS_METADATA,
} from '@nestjs/common/constants.js';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import type { ModulesContainer } from '@nestjs/core';
import { answerOf, waitingIn } from './beside-links.js';
import { oneOf } from './shared/check-options.js';
import type { OptionRule } from './shared/check-options.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';

/**
 * Who may download besides those who have a link:
 * - `'token'`: whoever has an access token;
 * - a guard of the application, its class or an instance: whom it lets in;
 * - `'public'`: anybody;
 * - `'links'`: only they;
 * - `false`: anybody, and links are not looked at either: delivery alone.
 */
export type DownloadAuth = 'token' | 'links' | 'public' | false | Type<CanActivate> | CanActivate;

const authWord = oneOf('token', 'links', 'public', false);

/** The rule for `auth`, of the module and of a route. */
export const authRule: OptionRule = (auth) => {
  const advice = isGuard(auth) ? undefined : authWord(auth);
  return advice && `${advice} Or give a guard: a class or an object with canActivate().`;
};

/** Whether `auth` is a guard of the application. An arrow function is not: Nest cannot create one. */
export function isGuard(auth: unknown): auth is Type<CanActivate> | CanActivate {
  return typeof auth === 'function'
    ? auth.prototype !== undefined
    : typeof (auth as Partial<CanActivate> | null)?.canActivate === 'function';
}

/** What `auth` is called in the debug line. */
export function authName(auth: DownloadAuth): string {
  if (!isGuard(auth)) {
    return auth || 'none';
  }
  return typeof auth === 'function' ? auth.name : auth.constructor.name;
}

type NestModule = ModulesContainer extends Map<string, infer Module> ? Module : never;
type GuardSource = (request: object) => Promise<CanActivate>;

/** Asks guards of the application, which it finds as Nest does for `@UseGuards()` of one module. */
export class ApplicationGuards {
  private readonly sources = new Map<Type<CanActivate>, Promise<GuardSource>>();

  /** @param moduleRef that of the module whose controllers are guarded */
  constructor(
    private readonly moduleRef: ModuleRef,
    private readonly modules: ModulesContainer,
  ) {}

  /** Whether the guards that wait, and then that of the route, let the request in. */
  async admit(auth: unknown, context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<object>();
    for (const ask of waitingIn(context, request)) {
      if (!(await ask())) {
        return false;
      }
    }
    if (!isGuard(auth)) {
      return true;
    }
    const guard = typeof auth === 'function' ? await (await this.source(auth))(request) : auth;
    return answerOf(guard.canActivate(context));
  }

  /**
   * Finds a guard when the application starts, so that it does not fail at the first request.
   * @throws DownloadAuthConfigurationError for a class that cannot be created here
   */
  async prepare(auth: unknown): Promise<void> {
    if (typeof auth === 'function') {
      await this.source(auth as Type<CanActivate>);
    }
  }

  private source(type: Type<CanActivate>): Promise<GuardSource> {
    let source = this.sources.get(type);
    if (!source) {
      this.sources.set(type, (source = this.find(type)));
    }
    return source;
  }

  /** A guard of this module, or else a provider of any module; what is neither is created here. */
  private async find(type: Type<CanActivate>): Promise<GuardSource> {
    const modules = [...this.modules.values()];
    const here = modules.find((module) => moduleRefOf(module) === this.moduleRef);
    const wrapper = here?.injectables.get(type);
    const owner = wrapper ? here : [here, ...modules].find((module) => module?.providers.has(type));
    const found = wrapper ?? owner?.providers.get(type);
    if (owner && found) {
      const ref = moduleRefOf(owner);
      return sourceOf(ref, !found.isDependencyTreeStatic(), (contextId) =>
        ref.resolve<CanActivate>(type, contextId, { strict: true }),
      );
    }
    try {
      return await sourceOf(this.moduleRef, this.isRequestScoped(type), (contextId) =>
        this.moduleRef.create(type, contextId),
      );
    } catch (error) {
      throw new DownloadAuthConfigurationError(
        `auth: ${type.name} cannot be created in ${here?.name}. List it in the providers of the module that has what ` +
          `it needs, and it is taken from there. ${(error as Error).message}`,
      );
    }
  }

  /** Whether Nest would create it for each request: because it says so, or because it needs what is. */
  private isRequestScoped(type: Type): boolean {
    const { scope } = (Reflect.getMetadata(SCOPE_OPTIONS_METADATA, type) ?? {}) as { scope?: Scope };
    const types = (Reflect.getMetadata(PARAMTYPES_METADATA, type) ?? []) as unknown[];
    const declared = (Reflect.getMetadata(SELF_DECLARED_DEPS_METADATA, type) ?? []) as { param: unknown }[];
    const needs = [...types, ...declared.map(({ param }) => param)];
    return scope === Scope.REQUEST || needs.some((token) => this.isScopedToken(token));
  }

  private isScopedToken(token: unknown): boolean {
    try {
      return this.moduleRef.introspect(token as Type).scope === Scope.REQUEST;
    } catch {
      return false; // optional, or missing, which Nest reports better
    }
  }
}

type Make = (contextId?: { id: number }) => Promise<CanActivate>;

async function sourceOf(ref: ModuleRef, isScoped: boolean, make: Make): Promise<GuardSource> {
  if (!isScoped) {
    const guard = await make();
    return () => Promise.resolve(guard);
  }
  return (request) => {
    const contextId = ContextIdFactory.getByRequest(request);
    ref.registerRequestByContextId(request, contextId);
    return make(contextId);
  };
}

function moduleRefOf(module: NestModule): ModuleRef {
  return module.providers.get(ModuleRef)?.instance as ModuleRef;
}
