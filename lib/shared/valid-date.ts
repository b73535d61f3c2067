/** Whether it is a `Date` of some moment; one made of nonsense is a `Date` too. */
export function isValidDate(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime());
}
