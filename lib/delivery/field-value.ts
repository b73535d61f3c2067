/** RFC 9110 §5.5, in ASCII: visible characters, with spaces and tabs between them only. */
const FIELD_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;

/** Whether it can be sent as the value of a header field as it is. */
export function isFieldValue(value: unknown): value is string {
  return typeof value === 'string' && FIELD_VALUE.test(value);
}
