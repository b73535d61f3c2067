const OPAQUE_TAG = '"[\\x21\\x23-\\x7e\\x80-\\xff]*"';
const ENTITY_TAG = new RegExp(`^(?:W/)?${OPAQUE_TAG}$`);
const LIST_ELEMENT = new RegExp(`[ \\t]*(?:((?:W/)?${OPAQUE_TAG})[ \\t]*(?:,|$)|[^,]*(?:,|$))`, 'gy');

/** Whether the text is one entity tag, weak or strong (RFC 9110 §8.8.3). */
export function isEntityTag(text: string): boolean {
  return ENTITY_TAG.test(text);
}

/** An entity tag as it is sent: `"abc"` and `W/"abc"` stay, `abc` is put in quotes. */
export function toEntityTag(text: string): string {
  return isEntityTag(text) ? text : `"${text}"`;
}

/** What to write instead of a text that cannot be an entity tag, in quotes or not. */
export function entityTagAdvice(text: string): string | undefined {
  return isEntityTag(toEntityTag(text))
    ? undefined
    : `${JSON.stringify(text)} cannot be an entity tag; use visible characters without space and quote, such as '"v1"'.`;
}

/**
 * The entity tags of `If-Match` or `If-None-Match` (RFC 9110 §13.1.1, §13.1.2), without list elements that
 * are none; a comma inside a tag does not end it. Linear time.
 */
export function parseEntityTags(value: string): string[] {
  return [...value.matchAll(LIST_ELEMENT)].flatMap(([, tag]) => tag ?? []);
}

/** Strong comparison: equal, and neither is weak (RFC 9110 §8.8.3.2). */
export function matchesStrongly(tag: string, other: string): boolean {
  return tag === other && !tag.startsWith('W/') && isEntityTag(tag);
}

/** Weak comparison: equal but for the weakness mark (RFC 9110 §8.8.3.2). */
export function matchesWeakly(tag: string, other: string): boolean {
  return tag.replace(/^W\//, '') === other.replace(/^W\//, '');
}
