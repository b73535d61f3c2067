import type { AbstractHttpAdapter } from '@nestjs/core';
import { ServerResponse } from 'node:http';

const originalWriteHead: unknown = Reflect.get(ServerResponse.prototype, 'writeHead');

/** A response as Express and Fastify both have it; Fastify's wraps Node's. */
interface AdapterResponse {
  readonly statusCode: number;
  readonly raw?: ServerResponse;
  removeHeader(name: string): unknown;
}

/**
 * Status and headers of the answer: the one place that writes them. Through Nest's adapter, but for Express,
 * whose response is Node's own: there the way through adapter and Express costs 6 % of a small download on
 * Node 20.
 */
export class ResponsePort {
  /** Node's own response. */
  readonly raw: ServerResponse;
  readonly #response: AdapterResponse;
  /** The framework's response is Node's own: Express. */
  readonly isNodes: boolean;

  constructor(
    private readonly adapter: AbstractHttpAdapter,
    response: unknown,
  ) {
    this.#response = response as AdapterResponse;
    this.raw = this.#response.raw ?? (response as ServerResponse);
    this.isNodes = this.raw === response;
  }

  /** Express' or Fastify's response. */
  get response(): object {
    return this.#response;
  }

  /** Fastify: an answer is on its way. */
  get isAnswered(): boolean {
    return (this.#response as { sent?: boolean }).sent === true;
  }

  /** Nothing can be said in this answer any more but its body. */
  get hasBegun(): boolean {
    return this.raw.headersSent || this.isAnswered;
  }

  get status(): number {
    return this.#response.statusCode;
  }

  set status(code: number) {
    this.adapter.status(this.#response, code);
  }

  /** The value of a field that is set. */
  get(name: string): string | undefined {
    const value = this.isNodes
      ? this.raw.getHeader(name)
      : (this.adapter.getHeader(this.#response, name) as string | number | string[] | undefined);
    return value === undefined ? undefined : String(value);
  }

  set(name: string, value: string | number): void {
    if (this.isNodes) {
      this.raw.setHeader(name, String(value));
    } else {
      this.adapter.setHeader(this.#response, name, String(value));
    }
  }

  /** Takes the named fields out of the answer, as long as its headers can be changed. */
  take(names: ReadonlySet<string>): Map<string, string> {
    const taken = new Map<string, string>();
    if (this.raw.headersSent) {
      return taken;
    }
    for (const name of this.#names()) {
      const value = names.has(name) ? this.get(name) : undefined;
      if (value !== undefined) {
        taken.set(name, value);
        this.remove(name);
      }
    }
    return taken;
  }

  /** Lower-case names of the fields that are set. */
  #names(): string[] {
    if (this.isNodes) {
      return this.raw.getHeaderNames();
    }
    return Object.keys((this.#response as unknown as { getHeaders(): object }).getHeaders());
  }

  setDefault(name: string, value: string | false | undefined): void {
    if (value !== false && value !== undefined && this.get(name) === undefined) {
      this.set(name, value);
    }
  }

  remove(name: string): void {
    if (!this.isNodes) {
      this.#response.removeHeader(name);
    }
    if (!this.raw.headersSent) {
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

/** Whether `writeHead` is Node's own: headers go out as they are. */
export function hasPlainHead(response: ServerResponse): boolean {
  return Reflect.get(response, 'writeHead') === originalWriteHead;
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
    // Lets the body go out the fast way
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
