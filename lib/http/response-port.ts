import { ServerResponse } from 'node:http';

const originalWriteHead: unknown = Reflect.get(ServerResponse.prototype, 'writeHead');

/** What Express' response and Fastify's reply have in common. */
interface FrameworkResponse {
  statusCode: number;
  getHeader(name: string): string | number | string[] | undefined;
}

/** Fastify's reply, which wraps Node's response. */
interface Reply extends FrameworkResponse {
  readonly raw: ServerResponse;
  readonly sent: boolean;
  getHeaders(): object;
  removeHeader(name: string): unknown;
  header(name: string, value: string): unknown;
}

/** Status and headers of the answer: the one place that writes them. */
export class ResponsePort {
  /** Node's own response. */
  readonly raw: ServerResponse;
  /** Undefined on Express, whose response is Node's own. */
  readonly #reply: Reply | undefined;

  /** @param response Express' or Fastify's */
  constructor(readonly response: object) {
    this.#reply = 'raw' in response ? (response as Reply) : undefined;
    this.raw = this.#reply?.raw ?? (response as ServerResponse);
  }

  /** Nothing can be said in this answer any more but its body. */
  get hasBegun(): boolean {
    return this.raw.headersSent || this.#reply?.sent === true;
  }

  get #framework(): FrameworkResponse {
    return this.#reply ?? this.raw;
  }

  get status(): number {
    return this.#framework.statusCode;
  }

  set status(code: number) {
    this.#framework.statusCode = code;
  }

  /** The value of a field that is set. */
  get(name: string): string | undefined {
    const value = this.#framework.getHeader(name);
    return value === undefined ? undefined : String(value);
  }

  set(name: string, value: string | number): void {
    if (this.#reply) {
      this.#reply.header(name, String(value));
    } else {
      this.raw.setHeader(name, String(value));
    }
  }

  /** Takes the named fields out of the answer, as long as its headers can be changed. */
  take(names: ReadonlySet<string>): Map<string, string> {
    const taken = new Map<string, string>();
    if (this.raw.headersSent) {
      return taken;
    }
    for (const name of this.#fieldNames()) {
      if (names.has(name)) {
        taken.set(name, this.get(name)!);
        this.remove(name);
      }
    }
    return taken;
  }

  /** In lower case. Node's own response would copy the values, too, for `getHeaders()`. */
  #fieldNames(): string[] {
    return this.#reply ? Object.keys(this.#reply.getHeaders()) : this.raw.getHeaderNames();
  }

  setDefault(name: string, value: string | false | undefined): void {
    if (value !== false && value !== undefined && this.get(name) === undefined) {
      this.set(name, value);
    }
  }

  remove(name: string): void {
    // Avoids a delete, which slows Fastify's headers down
    if (!this.raw.headersSent && this.get(name) !== undefined) {
      // Older versions of Fastify leave what a middleware set
      this.#reply?.removeHeader(name);
      this.raw.removeHeader(name);
    }
  }

  /** Keeps the client from taking what was sent so far for the whole. */
  breakOff(): void {
    if (this.raw.headersSent && !this.raw.writableEnded) {
      this.destroy();
    }
  }

  /** Destroys the connection; over HTTP/2 the stream alone. */
  destroy(): void {
    const raw = this.raw as ServerResponse & { stream?: { destroy?(): void } };
    if (typeof raw.destroy === 'function') {
      raw.destroy();
    } else {
      raw.stream?.destroy?.();
    }
  }
}

/**
 * Calls `look` with the status before the headers of a response go out; they can still be changed then.
 *
 * @returns ends it
 */
export function beforeHead(response: ServerResponse, look: (status: number) => void): () => void {
  const writeHead = Reflect.get(response, 'writeHead') as (...args: unknown[]) => ServerResponse;
  let isWatching = true;
  const watching = (...args: unknown[]) => {
    if (!isWatching || response.headersSent) {
      return writeHead.apply(response, args);
    }
    isWatching = false;
    const fields = args.at(-1);
    if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) {
      args.pop();
      for (const [name, value] of Object.entries(fields)) {
        response.setHeader(name, value as string);
      }
    }
    const status = args[0] as number;
    look(status);
    return writeHead === originalWriteHead
      ? writeHead.apply(response, args)
      : writeHeadAsWrapped(
          response,
          () => writeHead.apply(response, args),
          () => look(status),
        );
  };
  response.writeHead = watching;
  return () => {
    isWatching = false;
    // A later watch then finds Node's own method
    if (response.writeHead === watching) {
      response.writeHead = writeHead;
    }
  };
}

/** A `writeHead` that a middleware replaced may still set fields: looks after each `Content-Encoding`. */
function writeHeadAsWrapped(
  response: ServerResponse,
  proceed: () => ServerResponse,
  look: () => void,
): ServerResponse {
  const setHeader = Reflect.get<ServerResponse, 'setHeader'>(response, 'setHeader');
  response.setHeader = (name, value) => {
    setHeader.call(response, name, value);
    if (name.toLowerCase() === 'content-encoding') {
      look();
    }
    return response;
  };
  try {
    return proceed();
  } finally {
    response.setHeader = setHeader;
  }
}
