import { matchesStrongly, matchesWeakly, isStrongEntityTag, parseEntityTagList } from './entity-tag.js';
import { parseHttpDate, wholeSeconds } from './http-date.js';

/** Request header fields by lower-case name, as Node gives them: without the whitespace around a value. */
export type RequestFields = Readonly<Record<string, string | string[] | undefined>>;

/** What a representation can be compared by (RFC 9110 §8.8). */
export interface Validators {
  /** Entity tag with its quotes. */
  readonly etag?: string;
  /** Milliseconds since the epoch. */
  readonly lastModified?: number;
}

/** `'proceed'`: no precondition stands in the way. */
export type PreconditionDecision = 'proceed' | 304 | 412;

/**
 * Evaluates the preconditions of a GET or HEAD request in the order of RFC 9110 §13.2.2, but for
 * `If-Range`, which belongs to the range ({@link ifRangeMatches}).
 *
 * A date that is no HTTP-date and a date condition on a representation without `Last-Modified` are
 * ignored. A list without entity tags, an empty value among them, matches nothing.
 */
export function evaluatePreconditions(fields: RequestFields, validators: Validators): PreconditionDecision {
  const ifMatch = field(fields, 'if-match');
  if (ifMatch !== undefined) {
    if (!matchesAny(ifMatch, validators.etag, matchesStrongly)) {
      return 412;
    }
  } else if (isModifiedSince(field(fields, 'if-unmodified-since'), validators) === true) {
    return 412;
  }
  const ifNoneMatch = field(fields, 'if-none-match');
  if (ifNoneMatch !== undefined) {
    return matchesAny(ifNoneMatch, validators.etag, matchesWeakly) ? 304 : 'proceed';
  }
  return isModifiedSince(field(fields, 'if-modified-since'), validators) === false ? 304 : 'proceed';
}

/**
 * Whether `If-Range` lets the range stand (RFC 9110 §13.1.5): the entity tag matches strongly, or the date
 * is exactly `Last-Modified` and strong in the sense of §8.8.2.2, which a date is not before its second
 * has passed: the file may change again and keep the date.
 *
 * @param now milliseconds since the epoch
 */
export function ifRangeMatches(value: string, validators: Validators, now: number): boolean {
  if (value.includes('"')) {
    return (
      validators.etag !== undefined && isStrongEntityTag(value) && matchesStrongly(value, validators.etag)
    );
  }
  const date = parseHttpDate(value, now);
  return (
    date !== undefined &&
    validators.lastModified !== undefined &&
    wholeSeconds(validators.lastModified) === date &&
    wholeSeconds(now) > date
  );
}

/** The value of a request field; a field that Node gave as an array is joined as §5.3 allows. */
export function field(fields: RequestFields, name: string): string | undefined {
  const value = fields[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function matchesAny(
  value: string,
  etag: string | undefined,
  matches: (tag: string, other: string) => boolean,
): boolean {
  const wanted = parseEntityTagList(value);
  if (wanted === '*') {
    return true;
  }
  return etag !== undefined && wanted.some((tag) => matches(tag, etag));
}

function isModifiedSince(value: string | undefined, { lastModified }: Validators): boolean | undefined {
  const date = value === undefined ? undefined : parseHttpDate(value);
  if (date === undefined || lastModified === undefined) {
    return undefined;
  }
  return wholeSeconds(lastModified) > date;
}
