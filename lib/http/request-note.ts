const NOTES = Symbol('nestjs-download-auth');

/**
 * Something that one room of this package notes on a request for another one. All notes share one member of
 * the request: Express gives its requests another prototype, after which V8 charges some microseconds for
 * every member added.
 */
export class RequestNote<T> {
  /** @param name no other note may have it */
  constructor(private readonly name: string) {}

  get(request: object): T | undefined {
    return (request as Annotated)[NOTES]?.[this.name] as T | undefined;
  }

  clear(request: object): void {
    const notes = (request as Annotated)[NOTES];
    if (notes) {
      notes[this.name] = undefined;
    }
  }

  set(request: object, value: T): void {
    ((request as Annotated)[NOTES] ??= {})[this.name] = value;
  }
}

interface Annotated {
  [NOTES]?: Record<string, unknown>;
}
