import { create, parse } from 'content-disposition';

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
 * Parses a value that a handler wrote, in any encoding; any type but `inline` is an attachment (RFC 6266
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

/**
 * Longest name, in bytes of UTF-8. File systems stop at 255; browsers append some twelve
 * (".crdownload", " (1)") while they save.
 */
const MAX_BYTES = 240;
/** What is kept at the end of a name that has to be shortened, if it looks like an extension. */
const EXTENSION = /\.[^.\s]{1,16}$/u;
/**
 * Format characters, the bidirectional overrides and marks among them: invisible, and able to make
 * "exe.fdp" read "pdf.exe". The two joiners shape letters and emoji, and stay.
 */
const FORMAT_CHARACTERS = /(?![\u200c\u200d])\p{Cf}/gu;
/** Controls, line separators, and what one system or the other takes for a path. */
const UNSAFE = /[\p{Cc}\u2028\u2029/\\]/gu;
/** Names of devices on Windows, whatever the extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)/i;

/**
 * A file name that every system can save, from an unchecked one.
 *
 * Lone surrogates become U+FFFD; format characters go; controls and path separators become `_`; so does
 * the position before a Windows device name; spaces at both ends and dots at the end go; over
 * 240 bytes of UTF-8 it is cut before its extension.
 *
 * @returns undefined where nothing is left
 */
export function safeFilename(name: string): string | undefined {
  let safe = toWellFormed(name).replace(FORMAT_CHARACTERS, '').replace(UNSAFE, '_').replace(/^\s+/u, '');
  safe = trimEnd(shorten(trimEnd(safe), MAX_BYTES));
  return safe === '' ? undefined : safe.replace(DEVICE, '_$&');
}

/** Windows drops dots and spaces at the end. Not a regular expression: those take quadratic time here. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === '.' || /\s/u.test(text.charAt(end - 1)))) {
    end--;
  }
  return text.slice(0, end);
}

function toWellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

function shorten(name: string, bytes: number): string {
  if (Buffer.byteLength(name) <= bytes) {
    return name;
  }
  const extension = EXTENSION.exec(name.slice(-17))?.[0] ?? '';
  let room = bytes - Buffer.byteLength(extension);
  let stem = '';
  for (const character of name) {
    room -= Buffer.byteLength(character);
    if (room < 0) {
      break;
    }
    stem += character;
  }
  return stem + extension;
}
