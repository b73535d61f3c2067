import type { Type } from '@nestjs/common';
import {
  HEADERS_METADATA,
  RESPONSE_PASSTHROUGH_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';

/** Metadata key under which `@StreamDownload()` keeps its options. */
export const STREAM_DOWNLOAD = 'nestjs-download-auth:stream-download';

/** The options of `@StreamDownload()`, as far as rooms below the shell read them. */
interface MarkedOptions {
  readonly name?: string;
  readonly auth?: unknown;
  readonly subject?: unknown;
  readonly challenge?: unknown;
  readonly transports?: object;
  readonly delivery?: object;
}

/** The options of a handler's `@StreamDownload()`, over its controller's; undefined where neither has one. */
export function markedOptions(controller: object, handler: object): MarkedOptions | undefined {
  const [under, over] = [controller, handler].map(
    (target) => Reflect.getMetadata(STREAM_DOWNLOAD, target) as MarkedOptions | undefined,
  );
  if (!under && !over) {
    return undefined;
  }
  return {
    ...laidOver(under, over),
    name: over?.name,
    transports: laidOver(under?.transports, over?.transports),
    delivery: laidOver(under?.delivery, over?.delivery),
  };
}

/** Members that are `undefined` leave the choice to what is below them. */
function laidOver(under: object = {}, over: object = {}): object {
  const given = [under, over].flatMap((options) => Object.entries(options));
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
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
