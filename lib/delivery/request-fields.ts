import { type IncomingMessage } from 'node:http';
import { type RequestFields } from './preconditions.js';

/** Of these Node keeps the first and says nothing of the others. */
const DATE_CONDITIONS = ['if-modified-since', 'if-unmodified-since'];

/**
 * The fields that an answer is planned from: those of Node, but for a date condition that came more than
 * once, which has to be ignored (RFC 9110 §13.1.3, §13.1.4).
 */
export function requestFields({
  headers,
  rawHeaders,
}: Pick<IncomingMessage, 'headers' | 'rawHeaders'>): RequestFields {
  const repeated = DATE_CONDITIONS.filter(
    (name) => headers[name] !== undefined && occurrences(rawHeaders, name) > 1,
  );
  return repeated.length === 0
    ? headers
    : { ...headers, ...Object.fromEntries(repeated.map((name) => [name, undefined])) };
}

function occurrences(rawHeaders: readonly string[], wanted: string): number {
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === wanted).length;
}
