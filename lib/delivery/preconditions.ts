import type { IncomingMessage } from 'node:http';
import { matchesStrongly, matchesWeakly, parseEntityTags } from './entity-tag.js';
import { parseHttpDate, wholeSeconds } from './http-date.js';

/** Request header fields by lower-case name, as Node gives them: without the whitespace around a value. */
export type RequestFields = Readonly<Record<string, string | string[] | undefined>>;

/** RFC 9110 §8.8. */
export interface Validators {
  /** Entity tag with its quotes. */
  readonly etag?: string;
  /** Milliseconds since the epoch. */
  readonly lastModified?: number;
}

export type PreconditionAnswer =
  | {
      readonly status: 304;
      readonly reason: 'If-None-Match matched' | 'not modified since If-Modified-Since';
    }
  | {
      readonly status: 412;
      readonly reason: 'If-Match did not match' | 'modified since If-Unmodified-Since';
    };

/**
 * Evaluates the preconditions of a GET or HEAD request in the order of RFC 9110 §13.2.2; `If-Range` belongs
 * to the range. A malformed date and a date condition without `Last-Modified` are ignored. A list without
 * entity tags matches nothing.
 *
 * @returns undefined where the request may proceed
 */
export function evaluatePreconditions(
  fields: RequestFields,
  validators: Validators,
): PreconditionAnswer | undefined {
  const ifMatch = field(fields, 'if-match');
  if (ifMatch !== undefined) {
    if (!matchesAny(ifMatch, validators.etag, matchesStrongly)) {
      return { status: 412, reason: 'If-Match did not match' };
    }
  } else if (isModifiedSince(field(fields, 'if-unmodified-since'), validators) === true) {
    return { status: 412, reason: 'modified since If-Unmodified-Since' };
  }
  const ifNoneMatch = field(fields, 'if-none-match');
  if (ifNoneMatch !== undefined) {
    const matches = matchesAny(ifNoneMatch, validators.etag, matchesWeakly);
    return matches ? { status: 304, reason: 'If-None-Match matched' } : undefined;
  }
  return isModifiedSince(field(fields, 'if-modified-since'), validators) === false
    ? { status: 304, reason: 'not modified since If-Modified-Since' }
    : undefined;
}

/**
 * Whether `If-Range` lets the range stand (RFC 9110 §13.1.5): the entity tag matches strongly, or the date
 * is exactly `Last-Modified` and its second has passed (§8.8.2.2): until then the file may change again and
 * keep the date.
 *
 * @param now milliseconds since the epoch
 */
export function ifRangeMatches(value: string, validators: Validators, now: number): boolean {
  if (value.includes('"')) {
    return validators.etag !== undefined && matchesStrongly(value, validators.etag);
  }
  const date = parseHttpDate(value, now);
  return (
    date !== undefined &&
    validators.lastModified !== undefined &&
    wholeSeconds(validators.lastModified) === date &&
    wholeSeconds(now) > date
  );
}

/** A field that Node gave as an array is joined as §5.3 allows. */
export function field(fields: RequestFields, name: string): string | undefined {
  const value = fields[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** Whether `If-Match` or `If-None-Match` lists the entity tag, or is a `*`. */
export function matchesAny(
  value: string,
  etag: string | undefined,
  matches: (tag: string, other: string) => boolean,
): boolean {
  if (value === '*' || etag === undefined) {
    return value === '*';
  }
  return matches(value, etag) || parseEntityTags(value).some((tag) => matches(tag, etag));
}

function isModifiedSince(value: string | undefined, { lastModified }: Validators): boolean | undefined {
  const date = value === undefined ? undefined : parseHttpDate(value);
  if (date === undefined || lastModified === undefined) {
    return undefined;
  }
  return wholeSeconds(lastModified) > date;
}

/**
 * The fields that an answer is planned from: those of Node, but for a date condition that came more than
 * once, which has to be ignored (RFC 9110 §13.1.3, §13.1.4). Of such a field Node keeps the first value.
 */
export function requestFields(request: Pick<IncomingMessage, 'headers' | 'rawHeaders'>): RequestFields {
  let fields: RequestFields = request.headers;
  for (const name of ['if-modified-since', 'if-unmodified-since']) {
    if (fields[name] !== undefined && occurrences(request.rawHeaders, name) > 1) {
      fields = { ...fields, [name]: undefined };
    }
  }
  return fields;
}

function occurrences(rawHeaders: readonly string[], wanted: string): number {
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === wanted).length;
}
