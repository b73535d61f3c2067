import type { Type } from '@nestjs/common';
import {
  HEADERS_METADATA,
  RESPONSE_PASSTHROUGH_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';

/** Metadata key under which `@StreamDownload()` keeps its options. */
export const STREAM_DOWNLOAD = 'nestjs-download-auth:stream-download';

/** The name that the decorator of a handler gives its route. */
export function routeName(handler: object): string | undefined {
  return (Reflect.getMetadata(STREAM_DOWNLOAD, handler) as { name?: string } | undefined)?.name;
}

/** An option that the decorator of a handler names, or else that of its controller. */
export function declaredOption(controller: object, handler: object, name: 'auth' | 'challenge'): unknown {
  const of = (target: object) =>
    (Reflect.getMetadata(STREAM_DOWNLOAD, target) as Record<string, unknown> | undefined)?.[name];
  return of(handler) ?? of(controller);
}

/** Whether the handler sends its answer itself: it has `@Res()` or `@Next()`, without passthrough. */
export function answersItself(controller: Type, handler: object): boolean {
  const name = methodName(controller, handler);
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, name) ?? {}) as object;
  // Nest's RouteParamtypes: 1 is RESPONSE, 2 is NEXT
  return (
    Object.keys(parameters).some((key) => /^[12]:/.test(key)) &&
    Reflect.getMetadata(RESPONSE_PASSTHROUGH_METADATA, controller, name) !== true
  );
}

/**
 * Whether a function was put in place of a handler, with its name and all of its metadata, as OpenTelemetry's
 * Nest instrumentation does.
 */
export function standsFor(wrapper: object, handler: object): boolean {
  return (
    (wrapper as { name: string }).name === (handler as { name: string }).name &&
    Reflect.getMetadataKeys(handler).every(
      (key) => Reflect.getMetadata(key, wrapper) === Reflect.getMetadata(key, handler),
    )
  );
}

/** Lower-case names of the fields that `@Header()` sets, which Nest does before any interceptor runs. */
export function declaredFields(handler: object): ReadonlySet<string> {
  const declared = (Reflect.getMetadata(HEADERS_METADATA, handler) ?? []) as readonly { name: string }[];
  return new Set(declared.map(({ name }) => name.toLowerCase()));
}

/** The name under which a controller has a handler, which may differ from the function's own. */
export function methodName(controller: Type, handler: object): string {
  let prototype = controller.prototype as object | null;
  for (; prototype; prototype = Object.getPrototypeOf(prototype) as object | null) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (value === handler) {
        return name;
      }
    }
  }
  return (handler as { name: string }).name;
}
