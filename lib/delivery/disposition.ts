import { create, parse } from 'content-disposition';

/** Save or show. */
export type DispositionType = 'attachment' | 'inline';

const PLAIN_VALUE = /^[\t\x20-\x7e]*$/;
const COMBINING_MARKS = /\p{M}/gu;
const NOT_PLAIN = /[^\x20-\x7e]|[%"\\/]/g;

/**
 * RFC 6266, with an RFC 8187 `filename*` and a fallback where ASCII cannot say the name. Takes any string.
 */
export function contentDisposition(type: DispositionType, filename = ''): string {
  const name = safeFilename(filename);
  return name === undefined ? type : create(name, { type, fallback: asciiName(name) });
}

/** RFC 6266 appendix D: clients unescape a quote or backslash differently, and some decode a percent sign. */
function asciiName(name: string): string {
  return name.normalize('NFKD').replace(COMBINING_MARKS, '').replace(NOT_PLAIN, '_');
}

/** Parses what a handler wrote, in any encoding; any type but `inline` is an attachment (RFC 6266 §4.2). */
export function readDisposition(value: string): { type: DispositionType; filename?: string } {
  const { type, parameters } = parse(value);
  return { type: type === 'inline' ? 'inline' : 'attachment', filename: parameters.filename };
}

/** What a handler wrote, as it is where it is a legal field value, written anew where it is not. */
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

/** Bytes of UTF-8. File systems stop at 255; browsers append some twelve (".crdownload") while they save. */
const MAX_BYTES = 240;
/** What is kept at the end of a name that has to be shortened, if it looks like an extension. */
const EXTENSION = /\.[^.\s]{1,16}$/u;
/**
 * Invisible, and able to make "exe.fdp" read "pdf.exe". The two joiners shape letters and emoji, and stay.
 */
const FORMAT_CHARACTERS = /(?![\u200c\u200d])\p{Cf}/gu;
const UNSAFE = /[\p{Cc}\u2028\u2029/\\]/gu;
/** On Windows, whatever the extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)/i;

/** A name that every system can save, from an unchecked one; undefined where nothing is left. */
export function safeFilename(name: string): string | undefined {
  let safe = name.toWellFormed().replace(FORMAT_CHARACTERS, '').replace(UNSAFE, '_').replace(/^\s+/u, '');
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
