import { commonFields, FILE_FIELDS, removeFileFields } from './delivery-headers.js';
import { type ResolvedDelivery } from './delivery-options.js';
import { type ResponsePort } from './response-port.js';

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
