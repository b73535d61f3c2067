import { boolean, checkOptions, oneOf, rule, wholeNumber } from '../shared/check-options.js';
import type { OptionRule, OptionRules } from '../shared/check-options.js';
import { durationAdvice, durationInSeconds } from '../shared/duration.js';
import type { Duration } from '../shared/duration.js';
import type { DispositionType } from './disposition.js';
import { offloadAdvice } from './offload.js';
import type { OffloadOptions } from './offload.js';

/**
 * How downloads are answered, for the module and for one route. A header that the handler sets wins over
 * them; one that a middleware set before (helmet, CORS) does not.
 */
export interface DeliveryOptions {
  /** Save or show, where neither the handler nor the link says. Default `'attachment'`. */
  readonly disposition?: DispositionType;
  /**
   * `Cache-Control` of files; false sends none. Default `'private, no-store, no-transform'`. Errors and
   * redirects are never cached. A value that lets shared caches keep files is warned about at start.
   */
  readonly cacheControl?: string | false;
  /** `Referrer-Policy`; false sends none. Default `'no-referrer'`. */
  readonly referrerPolicy?: string | false;
  /** `X-Content-Type-Options: nosniff`. Default true. */
  readonly nosniff?: boolean;
  /** `Cross-Origin-Resource-Policy`; false sends none. Default `'same-site'`. */
  readonly crossOriginResourcePolicy?: 'same-origin' | 'same-site' | 'cross-origin' | false;
  /**
   * `Access-Control-Expose-Headers`: what a page of another origin may read, added to what CORS middleware
   * lets it read; false adds none. Default Content-Disposition, Content-Range, Accept-Ranges, ETag,
   * Repr-Digest.
   */
  readonly exposeHeaders?: readonly string[] | false;
  /**
   * `Content-Security-Policy` of what is shown and could run a script: all but PDF, images other than SVG,
   * audio, video and plain text. Added to that of a middleware; false adds none. The default is a sandbox.
   */
  readonly contentSecurityPolicy?: string | false;
  /** Byte ranges, where the content can be read from an offset. Default true. */
  readonly ranges?: boolean;
  /**
   * A request for more ranges gets the whole. Overlapping ranges count as one. A `Download.source()` is
   * opened once for every range. Default 100.
   */
  readonly maxRanges?: number;
  /** Let the proxy in front send files; false: this process does. Default false. */
  readonly offload?: OffloadOptions | false;
  /**
   * How long a client may take no byte before its connection is destroyed; false or 0: for ever. The kernel
   * buffers some megabytes, so a slow client seems to stand still for a while. A client that comes back goes
   * on with a range. Default 60 seconds.
   */
  readonly stallTimeout?: Duration | false;
}

/** With every default, and `stallTimeout` in seconds, 0 for never. */
export type ResolvedDelivery = Required<DeliveryOptions> & { readonly stallTimeout: number };

export const DEFAULT_DELIVERY: ResolvedDelivery = Object.freeze({
  disposition: 'attachment',
  cacheControl: 'private, no-store, no-transform',
  referrerPolicy: 'no-referrer',
  nosniff: true,
  crossOriginResourcePolicy: 'same-site',
  exposeHeaders: Object.freeze([
    'Content-Disposition',
    'Content-Range',
    'Accept-Ranges',
    'ETag',
    'Repr-Digest',
  ]),
  contentSecurityPolicy:
    "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'",
  ranges: true,
  maxRanges: 100,
  offload: false,
  stallTimeout: 60,
});

const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const fieldOrFalse = (example: string) =>
  rule(
    (value) => value === false || isFieldValue(value),
    `write a header value such as ${example}, or false.`,
  );

export const orFalse =
  (check: OptionRule): OptionRule =>
  (value) =>
    value === false ? undefined : check(value);

const RULES: OptionRules<DeliveryOptions> = {
  disposition: oneOf('attachment', 'inline'),
  cacheControl: fieldOrFalse("'private, no-cache'"),
  referrerPolicy: fieldOrFalse("'same-origin'"),
  nosniff: boolean,
  crossOriginResourcePolicy: oneOf('same-origin', 'same-site', 'cross-origin', false),
  exposeHeaders: rule(
    (value) =>
      value === false || (Array.isArray(value) && value.every((name) => FIELD_NAME.test(String(name)))),
    "write an array of header names such as ['ETag'], or false.",
  ),
  contentSecurityPolicy: fieldOrFalse("'sandbox'"),
  ranges: boolean,
  maxRanges: wholeNumber(1, 1000),
  offload: orFalse(offloadAdvice),
  stallTimeout: orFalse(durationAdvice),
};

/**
 * The options that hold for a route: later ones win. A member that is undefined counts as absent.
 *
 * @throws DownloadAuthConfigurationError for an unknown option or a value that cannot work
 */
export function resolveDelivery(...partials: readonly (DeliveryOptions | undefined)[]): ResolvedDelivery {
  const resolved: Record<string, unknown> = { ...DEFAULT_DELIVERY };
  for (const partial of partials) {
    checkOptions(partial, RULES, 'delivery');
    for (const [name, value] of Object.entries(partial ?? {})) {
      if (value !== undefined) {
        resolved[name] = name === 'stallTimeout' ? stallSeconds(value as Duration | false) : value;
      }
    }
  }
  return resolved as unknown as ResolvedDelivery;
}

function stallSeconds(value: Duration | false): number {
  return value === false ? 0 : durationInSeconds(value);
}

/** RFC 9110 §5.5, in ASCII: visible characters, with spaces and tabs between them only. */
const FIELD_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether it can be sent as the value of a header field as it is. */
export function isFieldValue(value: unknown): value is string {
  return typeof value === 'string' && FIELD_VALUE.test(value);
}
