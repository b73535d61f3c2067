import type { ExecutionContext } from '@nestjs/common';

const NOTES = Symbol('nestjs-download-auth');

interface Annotated {
  [NOTES]?: Record<string, unknown>;
}

/**
 * Something that one room notes on a request for another one. All notes share one member of the request: on
 * Express, adding a member to a request costs some microseconds.
 */
export class RequestNote<T> {
  /** @param name no other note may have it */
  constructor(private readonly name: string) {}

  get(request: object): T | undefined {
    return (request as Annotated)[NOTES]?.[this.name] as T | undefined;
  }

  set(request: object, value: T | undefined): void {
    ((request as Annotated)[NOTES] ??= {})[this.name] = value;
  }

  clear(request: object): void {
    const notes = (request as Annotated)[NOTES];
    if (notes) {
      notes[this.name] = undefined;
    }
  }
}

/** A value computed once per controller and handler: two controllers may inherit the same handler. */
export class PerRoute<T> {
  private readonly controllers = new Map<unknown, Map<unknown, T>>();

  get(controller: unknown, handler: unknown, compute: () => T): T {
    let handlers = this.controllers.get(controller);
    if (!handlers) {
      this.controllers.set(controller, (handlers = new Map<unknown, T>()));
    }
    let value = handlers.get(handler);
    if (value === undefined) {
      handlers.set(handler, (value = compute()));
    }
    return value;
  }

  of(context: ExecutionContext, compute: () => T): T {
    return this.get(context.getClass(), context.getHandler(), compute);
  }
}
