const OPAQUE_TAG = '"[\\x21\\x23-\\x7e\\x80-\\xff]*"';
const ENTITY_TAG = new RegExp(`^(?:W/)?${OPAQUE_TAG}$`);
const NEXT_TAG = new RegExp(`((?:W/)?${OPAQUE_TAG})[ \\t]*(?:,|$)|[^,]*(?:,|$)`, 'y');

/** Whether the text is one entity tag, weak or strong (RFC 9110 §8.8.3). */
export function isEntityTag(text: string): boolean {
  return ENTITY_TAG.test(text);
}

/** Whether the text is a strong entity tag (RFC 9110 §8.8.3). */
export function isStrongEntityTag(text: string): boolean {
  return !text.startsWith('W/') && isEntityTag(text);
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

/** What `If-Match` or `If-None-Match` asks for. */
export type EntityTagList = '*' | readonly string[];

/**
 * Parses the value of `If-Match` or `If-None-Match` (RFC 9110 §13.1.1, §13.1.2). A list element that is
 * no entity tag matches nothing; a comma inside a tag does not end it. Runs in linear time.
 */
export function parseEntityTagList(value: string): EntityTagList {
  if (value === '*') {
    return '*';
  }
  const tags: string[] = [];
  const next = new RegExp(NEXT_TAG);
  let index = 0;
  while (index < value.length) {
    while (value[index] === ' ' || value[index] === '\t') {
      index++;
    }
    next.lastIndex = index;
    const match = next.exec(value);
    if (!match || match[0] === '') {
      break;
    }
    if (match[1] !== undefined) {
      tags.push(match[1]);
    }
    index = next.lastIndex;
  }
  return tags;
}

/** Strong comparison: equal, and neither is weak (RFC 9110 §8.8.3.2). */
export function matchesStrongly(tag: string, other: string): boolean {
  return tag === other && isStrongEntityTag(tag);
}

/** Weak comparison: equal but for the weakness mark (RFC 9110 §8.8.3.2). */
export function matchesWeakly(tag: string, other: string): boolean {
  return tag.replace(/^W\//, '') === other.replace(/^W\//, '');
}
