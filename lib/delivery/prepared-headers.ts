import type { ResponsePort } from '../http/response-port.js';
import type { ResolvedDelivery } from './options.js';

const BODY =
  'content-type content-length content-disposition content-encoding content-language content-range ' +
  'content-digest transfer-encoding trailer';
const FILE = `${BODY} etag last-modified accept-ranges content-location content-md5 digest repr-digest`;
const CACHE = 'cache-control expires cdn-cache-control surrogate-control';

/** What describes a body and has no place in an answer with another one, or none (RFC 9110 §15.4.5). */
const BODY_FIELDS = names(BODY);
const FILE_FIELDS = names(FILE);
/** What lets a cache keep an answer (RFC 9111 §5.2, §5.3; RFC 9213). */
const CACHE_FIELDS = names(CACHE);
const FILE_AND_CACHE_FIELDS = names(`${FILE} ${CACHE}`);

function names(text: string): ReadonlySet<string> {
  return new Set(text.split(' '));
}

const EXPOSED = 'Access-Control-Expose-Headers';
const POLICY = 'Content-Security-Policy';
/** What `Cache-Control` is until the answer is sent; spelt as others do not. */
const UNSENT = 'no-store, private';

export class RouteHeaders {
  /** Fields of every answer, errors included. */
  readonly common: readonly (readonly [name: string, value: string])[];
  /** Fields that are put aside, since only a handler knows the file. */
  readonly aside: ReadonlySet<string>;

  /**
   * @param declared lower-case names of the fields that `@Header()` sets, which Nest does before any
   *   interceptor runs
   * @param answersItself the handler has `@Res()` or `@Next()` without passthrough
   */
  constructor(
    readonly options: ResolvedDelivery,
    readonly declared: ReadonlySet<string>,
    readonly answersItself: boolean,
  ) {
    const isOurs = (name: string) => !declared.has(name.toLowerCase());
    const fields = {
      'Cache-Control': options.cacheControl,
      'Referrer-Policy': options.referrerPolicy,
      'X-Content-Type-Options': options.nosniff && 'nosniff',
      'Cross-Origin-Resource-Policy': options.crossOriginResourcePolicy,
      [EXPOSED]: options.exposeHeaders && options.exposeHeaders.join(', '),
    };
    this.common = Object.entries(fields).flatMap(([name, value]) =>
      value !== false && isOurs(name) ? [[name, value] as const] : [],
    );
    this.aside = new Set(answersItself ? [] : [...FILE_FIELDS].filter(isOurs));
  }
}

/**
 * The headers of an answer from before its handler runs: what is set afterwards is the handler's, and wins.
 *
 * The options win over what a middleware, a hook or an outer interceptor set before (helmet, CORS), so common
 * fields are set now: a handler that sends its answer itself gets them too.
 */
export class PreparedHeaders {
  readonly options: ResolvedDelivery;
  /** The `Content-Security-Policy` that was there before the handler ran. */
  readonly #policy: string | undefined;
  readonly #aside: ReadonlyMap<string, string>;

  constructor(
    readonly port: ResponsePort,
    route: RouteHeaders,
  ) {
    this.options = route.options;
    this.#policy = route.declared.has(POLICY.toLowerCase()) ? undefined : port.get(POLICY);
    this.#aside = port.take(route.aside);
    if (port.raw.headersSent) {
      return;
    }
    for (const [name, value] of route.common) {
      port.set(name, name === EXPOSED ? mergedList(port.get(name), value) : value);
    }
  }

  /** What the answer depends on beside the URL, for caches (RFC 9110 §12.5.5). */
  varyBy(field: string): void {
    this.port.set('Vary', mergedList(this.port.get('Vary'), field));
  }

  /** The handler returned something that is not a file. */
  restore(): void {
    if (!this.port.raw.headersSent) {
      this.#setDefaults(this.#aside);
    }
  }

  /** The answer is an error: it must not be saved or cached as the file. */
  fail(): void {
    this.removeFileFields();
    this.restore();
  }

  removeFileFields(): void {
    if (!this.port.raw.headersSent) {
      this.port.take(FILE_AND_CACHE_FIELDS);
      this.port.set('Cache-Control', 'no-store');
    }
  }

  removeBodyFields(): void {
    this.port.take(BODY_FIELDS);
  }

  /** The default of `cacheControl` already says so, unless the route lets files be cached. */
  forbidCaching(): void {
    const { cacheControl } = this.options;
    this.port.take(CACHE_FIELDS);
    if (cacheControl) {
      this.port.set('Cache-Control', cacheControl.includes('no-store') ? cacheControl : 'no-store');
    }
  }

  /**
   * Takes what describes the file out of the answer until it is sent, so that an interceptor or a serializer
   * that fails after the delivery was decided does not leave it on the error.
   *
   * @returns puts the fields back, but for those that were set in the meantime
   */
  withholdFileFields(): () => void {
    const { port } = this;
    const fields = port.take(FILE_AND_CACHE_FIELDS);
    port.set('Cache-Control', UNSENT);
    return () => {
      if (port.get('Cache-Control') === UNSENT) {
        port.remove('Cache-Control');
      }
      this.#setDefaults(fields);
    };
  }

  /**
   * Adds the sandbox to the policy that a middleware set: several policies hold together (CSP 3 §2.2). A
   * handler's stands alone.
   */
  addPolicy(): void {
    const policy = this.options.contentSecurityPolicy;
    if (policy !== false && this.port.get(POLICY) === this.#policy) {
      this.port.set(POLICY, this.#policy === undefined ? policy : `${this.#policy}, ${policy}`);
    }
  }

  #setDefaults(fields: ReadonlyMap<string, string>): void {
    for (const [name, value] of fields) {
      this.port.setDefault(name, value);
    }
  }
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
