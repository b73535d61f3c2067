import type { ResponsePort } from '../http/response-port.js';
import type { ResolvedDelivery } from './options.js';

/** What describes a body and has no place in an answer with another one, or none (RFC 9110 §15.4.5). */
const BODY_FIELDS = lowerCase([
  'Content-Type',
  'Content-Length',
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Range',
  'Content-Digest',
  'Transfer-Encoding',
  'Trailer',
]);
/** What describes a file. */
const FILE_FIELDS = lowerCase([
  ...BODY_FIELDS,
  'ETag',
  'Last-Modified',
  'Accept-Ranges',
  'Content-Location',
  'Content-MD5',
  'Digest',
  'Repr-Digest',
]);
/** What lets a cache keep an answer (RFC 9111 §5.2, §5.3; RFC 9213), beside `Cache-Control`. */
const OTHER_CACHE_FIELDS = ['Expires', 'CDN-Cache-Control', 'Surrogate-Control'];
const CACHE_FIELDS = lowerCase(['Cache-Control', ...OTHER_CACHE_FIELDS]);
const FILE_AND_CACHE_FIELDS = lowerCase([...FILE_FIELDS, ...CACHE_FIELDS]);
/** What is withheld where `Cache-Control` already says `no-store`. */
const WITHHELD = lowerCase([...FILE_FIELDS, ...OTHER_CACHE_FIELDS]);
const NONE: ReadonlySet<string> = new Set();

function lowerCase(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

const EXPOSED = 'Access-Control-Expose-Headers';
const POLICY = 'Content-Security-Policy';
/** `no-store`, in words that tell it from what others set. */
const UNSENT = 'no-store, private';

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
 * fields that every answer carries, errors included, are set now: a handler that sends its answer itself gets
 * them too. What such code says of a file is put aside, since it does not know the file.
 */
export class PreparedHeaders {
  readonly options: ResolvedDelivery;
  /** The `Content-Security-Policy` that was there before the handler ran. */
  readonly #policy: string | undefined;
  readonly #aside: ReadonlyMap<string, string>;

  constructor(
    readonly port: ResponsePort,
    { options, declared, answersItself }: RouteHeaders,
  ) {
    this.options = options;
    this.#policy = declared.has(POLICY.toLowerCase()) ? undefined : port.get(POLICY);
    this.#aside = port.take(answersItself ? NONE : without(FILE_FIELDS, declared));
    if (port.raw.headersSent) {
      return;
    }
    for (const [name, value] of commonFields(options)) {
      if (!declared.has(name.toLowerCase())) {
        port.set(name, name === EXPOSED ? mergedList(port.get(name), value) : value);
      }
    }
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
    const mayBeCached = !port.get('Cache-Control')?.includes('no-store');
    const fields = port.take(mayBeCached ? FILE_AND_CACHE_FIELDS : WITHHELD);
    if (mayBeCached && !port.raw.headersSent) {
      port.set('Cache-Control', UNSENT);
    }
    return () => {
      if (mayBeCached && port.get('Cache-Control') === UNSENT) {
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

const commonOf = new WeakMap<ResolvedDelivery, readonly (readonly [string, string])[]>();

/** Worked out once for a route. */
function commonFields(options: ResolvedDelivery): readonly (readonly [string, string])[] {
  let fields = commonOf.get(options);
  if (!fields) {
    const all = {
      'Cache-Control': options.cacheControl,
      'Referrer-Policy': options.referrerPolicy,
      'X-Content-Type-Options': options.nosniff && 'nosniff',
      'Cross-Origin-Resource-Policy': options.crossOriginResourcePolicy,
      [EXPOSED]: options.exposeHeaders && options.exposeHeaders.join(', '),
    };
    fields = Object.entries(all).flatMap(([name, value]) =>
      value === false ? [] : [[name, value] as const],
    );
    commonOf.set(options, fields);
  }
  return fields;
}

function without(names: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  return others.size === 0 ? names : new Set([...names].filter((name) => !others.has(name)));
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
