import { create, parse } from 'content-disposition';
import { safeFilename } from './filename.js';

/** Whether the browser saves the file or shows it. */
export type DispositionType = 'attachment' | 'inline';

/** A header field value that Node accepts and that is plain ASCII. */
const PLAIN_VALUE = /^[\t\x20-\x7e]*$/;
const COMBINING_MARKS = /\p{M}/gu;
const NOT_PLAIN = /[^\x20-\x7e]|[%"\\/]/g;

/**
 * The value of `Content-Disposition` (RFC 6266), with an RFC 8187 `filename*` where ASCII cannot say the
 * name, after a fallback for clients that do not know it. Any string is a name: see {@link safeFilename}.
 */
export function contentDisposition(type: DispositionType, filename: string | undefined): string {
  const name = filename === undefined ? undefined : safeFilename(filename);
  if (name === undefined) {
    return type;
  }
  return create(name, { type, fallback: asciiName(name) });
}

/**
 * The name in ASCII: accents dropped, `_` for the rest, a quote or backslash (which clients unescape
 * differently) and a percent sign (which some decode) among it. RFC 6266 appendix D.
 */
function asciiName(name: string): string {
  return name.normalize('NFKD').replace(COMBINING_MARKS, '').replace(NOT_PLAIN, '_');
}

/** A `Content-Disposition` taken apart. */
export interface DispositionParts {
  readonly type: DispositionType;
  readonly filename?: string;
}

/**
 * Reads a value that a handler wrote, however it is encoded; what is not `inline` is an attachment (RFC 6266
 * §4.2).
 */
export function readDisposition(value: string): DispositionParts {
  const { type, parameters } = parse(value);
  return { type: type === 'inline' ? 'inline' : 'attachment', filename: parameters.filename };
}

/**
 * A value that a handler wrote, as it may be sent: itself where it is a legal field value, written anew
 * where it has characters that a header cannot carry.
 */
export function repairDisposition(value: string): string {
  if (PLAIN_VALUE.test(value)) {
    return value;
  }
  const { type, filename } = readDisposition(value);
  return contentDisposition(type, filename);
}

/** Whether browsers save what the value comes with; without a type, or with a quoted one, they show it. */
export function isAttachment(value: string): boolean {
  return /^[ \t]*attachment[ \t]*(?:;|$)/i.test(value);
}

/** Whether the value is one of the two types. */
export function isDispositionType(value: unknown): value is DispositionType {
  return value === 'attachment' || value === 'inline';
}
