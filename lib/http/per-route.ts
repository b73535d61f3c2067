import type { ExecutionContext } from '@nestjs/common';

/**
 * Something worked out once for each handler of each controller; a handler that two controllers inherit
 * counts for each of them.
 */
export class PerRoute<T> {
  private readonly controllers = new Map<unknown, Map<unknown, T>>();

  get(controller: unknown, handler: unknown, workOut: () => T): T {
    let handlers = this.controllers.get(controller);
    if (!handlers) {
      this.controllers.set(controller, (handlers = new Map<unknown, T>()));
    }
    let value = handlers.get(handler);
    if (value === undefined) {
      handlers.set(handler, (value = workOut()));
    }
    return value;
  }

  of(context: ExecutionContext, workOut: () => T): T {
    return this.get(context.getClass(), context.getHandler(), workOut);
  }
}
