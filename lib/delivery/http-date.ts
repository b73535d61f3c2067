const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG_DAY = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const MONTH = `(?<month>${MONTHS.join('|')})`;
const TIME = '(?<hour>\\d{2}):(?<minute>\\d{2}):(?<second>\\d{2})';

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
export function parseHttpDate(text: string, now: number = Date.now()): number | undefined {
  for (const form of FORMS) {
    const fields = form.exec(text)?.groups;
    if (fields) {
      return toTime(fields, now);
    }
  }
  return undefined;
}

function toTime(fields: Record<string, string | undefined>, now: number): number | undefined {
  const month = MONTHS.indexOf(fields.month ?? '');
  const day = Number(fields.day);
  const [hour, minute, second] = [Number(fields.hour), Number(fields.minute), Number(fields.second)];
  // A leap second is legal in the grammar; the epoch has none.
  if (hour > 23 || minute > 59 || second > 60) {
    return undefined;
  }
  const time = ((hour * 60 + minute) * 60 + Math.min(second, 59)) * 1000;
  const year = Number(fields.year);
  if (fields.year?.length === 4) {
    return toDay(year, month, day, time);
  }
  // A two-digit year: more than 50 years ahead, it is the most recent past one with these digits (§5.6.7)
  const limit = new Date(now);
  const century = limit.getUTCFullYear() - (limit.getUTCFullYear() % 100);
  limit.setUTCFullYear(limit.getUTCFullYear() + 50);
  const found = toDay(century + year, month, day, time);
  return found !== undefined && found <= limit.getTime()
    ? found
    : toDay(century + year - 100, month, day, time);
}

/** The time of a day that exists, `time` milliseconds after its start. */
function toDay(year: number, month: number, day: number, time: number): number | undefined {
  // Date.UTC takes years below 100 for the 20th century
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  return date.getUTCMonth() === month && date.getUTCDate() === day ? date.getTime() + time : undefined;
}

/**
 * Formats a time as IMF-fixdate, the only form a sender may generate (RFC 9110 §5.6.7).
 *
 * @param time milliseconds since the epoch; fractions of a second are cut off
 * @returns undefined for a time that the format cannot express
 */
export function formatHttpDate(time: number): string | undefined {
  return time >= EARLIEST && time <= LATEST ? new Date(time).toUTCString() : undefined;
}

/** Cuts milliseconds off, since an HTTP-date has none. */
export function wholeSeconds(time: number): number {
  return Math.floor(time / 1000) * 1000;
}
