const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG_DAY = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = '(?<time>\\d{2}:\\d{2}:\\d{2})';

const FORMS = [
  new RegExp(`^${DAY}, (?<day>\\d{2}) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`),
  new RegExp(`^${LONG_DAY}, (?<day>\\d{2})-${MONTH}-(?<year>\\d{2}) ${TIME} GMT$`),
  new RegExp(`^${DAY} ${MONTH} (?<day>[ \\d]\\d) ${TIME} (?<year>\\d{4})$`),
];

/** An HTTP-date has a year of four digits. */
const EARLIEST = Date.parse('0001-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59.999Z');

/**
 * Parses an HTTP-date in any of the three forms a recipient must accept (RFC 9110 §5.6.7). `Date.parse` takes
 * more, such as "2026", and a condition with a malformed date must be ignored.
 *
 * @param now milliseconds since the epoch; decides the century of the two-digit year
 * @returns milliseconds since the epoch, undefined if the text is not an HTTP-date
 */
export function parseHttpDate(text: string, now = Date.now()): number | undefined {
  for (const form of FORMS) {
    const fields = form.exec(text)?.groups;
    if (fields) {
      return fields.year?.length === 4 ? toTime(fields, Number(fields.year)) : inCentury(fields, now);
    }
  }
  return undefined;
}

/** More than 50 years ahead, a two-digit year is the most recent past one with these digits (§5.6.7). */
function inCentury(fields: Record<string, string>, now: number): number | undefined {
  const limit = new Date(now);
  const year = Math.floor(limit.getUTCFullYear() / 100) * 100 + Number(fields.year);
  limit.setUTCFullYear(limit.getUTCFullYear() + 50);
  const time = toTime(fields, year);
  return time !== undefined && time <= limit.getTime() ? time : toTime(fields, year - 100);
}

function toTime({ day = '', month = '', time = '' }, year: number): number | undefined {
  const date = [
    String(year).padStart(4, '0'),
    String(MONTHS.indexOf(month) + 1).padStart(2, '0'),
    day.replace(' ', '0'),
  ].join('-');
  // A leap second is legal in the grammar; the epoch has none
  const parsed = Date.parse(`${date}T${time.replace(/:60$/, ':59')}Z`);
  // 31 February is parsed as 3 March, 24:00 as the next day
  return new Date(parsed).getUTCDate() === Number(day) ? parsed : undefined;
}

/** IMF-fixdate of milliseconds since the epoch; undefined for a time that the format cannot express. */
export function formatHttpDate(time: number): string | undefined {
  return time >= EARLIEST && time <= LATEST ? new Date(time).toUTCString() : undefined;
}

/** Cuts milliseconds off, since an HTTP-date has none. */
export function wholeSeconds(time: number): number {
  return Math.floor(time / 1000) * 1000;
}
