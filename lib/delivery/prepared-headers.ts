import { Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { beforeHead } from '../http/response-port.js';
import type { ResponsePort } from '../http/response-port.js';
import { commonFields, FILE_FIELDS, removeFileFields } from './headers.js';
import type { ResolvedDelivery } from './options.js';
import { isPlainResponse } from './pump.js';

const NONE: ReadonlySet<string> = new Set();

/** What is fixed for a route about the headers of its answers. */
export interface RouteHeaders {
  readonly options: ResolvedDelivery;
  /** Lower-case names of the fields that `@Header()` sets, which Nest does before any interceptor runs. */
  readonly declared: ReadonlySet<string>;
  /** The handler has `@Res()` or `@Next()` without passthrough: it sends the answer itself. */
  readonly answersItself: boolean;
}

/**
 * The headers of an answer from before its handler runs: a field that is set afterwards is the handler's, and
 * wins.
 *
 * The options win over what a middleware, a hook or an outer interceptor set before (helmet, CORS), so the
 * fields that every answer carries are set now: a handler that sends its answer itself gets them too. What
 * such code says of a file is put aside, since the file is not known to it.
 */
export class PreparedHeaders {
  /** The `Content-Security-Policy` that was there before the handler ran. */
  readonly policy: string | undefined;
  readonly #aside: ReadonlyMap<string, string>;

  constructor(
    readonly port: ResponsePort,
    readonly route: RouteHeaders,
  ) {
    const { declared, answersItself } = route;
    this.policy = declared.has('content-security-policy') ? undefined : port.get('Content-Security-Policy');
    this.#aside = port.take(answersItself ? NONE : undeclared(declared));
    if (port.raw.headersSent) {
      return;
    }
    const fields = commonFields(route.options);
    for (const name in fields) {
      const value = fields[name];
      if (value !== undefined && value !== false && !declared.has(name.toLowerCase())) {
        port.set(name, name === EXPOSED ? mergedList(port.get(name), value) : value);
      }
    }
  }

  /** The handler returned something that is not a file. */
  restore(): void {
    if (!this.port.raw.headersSent) {
      for (const [name, value] of this.#aside) {
        this.port.setDefault(name, value);
      }
    }
  }

  /** The answer is an error: it carries nothing that the handler said of the file, and may not be cached. */
  fail(): void {
    removeFileFields(this.port);
    this.restore();
  }
}

const EXPOSED = 'Access-Control-Expose-Headers';

function undeclared(declared: ReadonlySet<string>): ReadonlySet<string> {
  return declared.size === 0 ? FILE_FIELDS : new Set([...FILE_FIELDS].filter((name) => !declared.has(name)));
}

/** A list field with the members of both values, each once. */
function mergedList(before: string | undefined, ours: string): string {
  if (before === undefined || before === ours) {
    return ours;
  }
  const members = new Map(
    `${before},${ours}`
      .split(',')
      .map((member) => member.trim())
      .filter((member) => member !== '')
      .map((member) => [member.toLowerCase(), member]),
  );
  return [...members.values()].join(', ');
}

/**
 * Keeps middleware and hooks from encoding bytes that our strong entity tag stands for: a client resumes such
 * a download with bytes that are not encoded (RFC 9110 §8.8.3.3).
 *
 * Content negotiation finds that the client wants no encoding. An encoding that is applied anyway makes the
 * tag weak and takes ranges away; an encoded part of a file is useless, and its connection is destroyed. A
 * plain response needs no such watch.
 */
export function keepFromEncoding(request: IncomingMessage, port: ResponsePort): void {
  const response = port.raw;
  Reflect.set(request.headers, 'accept-encoding', 'identity');
  if (port.hasPlainHead && isPlainResponse(response)) {
    return;
  }
  const own = port.get('Content-Encoding');
  beforeHead(response, (status) => {
    if (response.getHeader('Content-Encoding') === own) {
      return;
    }
    if (status === 206) {
      new Logger('DownloadDelivery').error(
        'A middleware or hook encoded a part of a file, which no client can use: let it skip answers of status 206.',
      );
      response.destroy();
      return;
    }
    const etag = response.getHeader('ETag');
    if (typeof etag === 'string' && !etag.startsWith('W/')) {
      response.setHeader('ETag', `W/${etag}`);
    }
    response.setHeader('Accept-Ranges', 'none');
    for (const name of ['Content-Length', 'Digest', 'Repr-Digest']) {
      response.removeHeader(name);
    }
  });
}
