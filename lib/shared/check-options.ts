import { DownloadAuthConfigurationError } from './configuration-error.js';
import { durationAdvice, durationInSeconds } from './duration.js';
import type { Duration } from './duration.js';

/** Answers what to write instead of a value that cannot work, and `undefined` for one that can. */
export type OptionRule = (value: unknown) => string | undefined;

/** One rule for each option of a function; an option without a rule does not exist. */
export type OptionRules<Options> = { readonly [Name in keyof Required<Options>]: OptionRule };

/**
 * Checks the options of a function against its table of rules. A member that is `undefined` counts as absent.
 *
 * @param place what the options belong to, such as `links`; messages name members as `links.expiresIn`
 * @param prefix what stands before a member's name in messages; default the place and a dot
 * @throws DownloadAuthConfigurationError for the first mistake; the message says what to write instead
 */
export function checkOptions<Options extends object>(
  options: Options | undefined,
  rules: OptionRules<Options>,
  place: string,
  prefix = `${place}.`,
): void {
  if (options === undefined) {
    return;
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new DownloadAuthConfigurationError(`${place}: give an object of options.`);
  }
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? (rules as Record<string, OptionRule>)[name] : undefined;
    if (!rule) {
      throw new DownloadAuthConfigurationError(`${place}: ${unknownOption(name, Object.keys(rules))}`);
    }
    const advice = value === undefined ? undefined : rule(value);
    if (advice !== undefined) {
      throw new DownloadAuthConfigurationError(`${prefix}${name}: ${advice}`);
    }
  }
}

/** A rule that only asks a question. */
export function rule(accepts: (value: unknown) => boolean, advice: string): OptionRule {
  return (value) => (accepts(value) ? undefined : advice);
}

/** For values that another function checks, and for those that need no check. */
export const anything: OptionRule = () => undefined;

/** Environment variables are text, and the text 'false' is truthy. */
export const boolean = rule(
  (value) => typeof value === 'boolean',
  "write true or false; a variable of the environment is text, so compare it: process.env.NAME === 'true'.",
);

export const callable = rule((value) => typeof value === 'function', 'give a function.');

/** @param example what such a text looks like, with the word before it */
export function text(example: string): OptionRule {
  return rule((value) => typeof value === 'string', `give a string, ${example}.`);
}

export function oneOf(...allowed: readonly (string | boolean)[]): OptionRule {
  const names = allowed.map((one) => (typeof one === 'string' ? `'${one}'` : String(one)));
  const advice = `write ${names.slice(0, -1).join(', ')} or ${names.at(-1)}.`;
  const words = allowed.filter((one) => typeof one === 'string');
  return (value) => {
    if ((allowed as readonly unknown[]).includes(value)) {
      return undefined;
    }
    const near = typeof value === 'string' ? nearest(value, words) : undefined;
    return near === undefined ? advice : `did you mean '${near}'? W${advice.slice(1)}`;
  };
}

/** @param least at the least; with `most`, at the most */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER, more = ''): OptionRule {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return rule(
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
    `write a whole number ${range}${more}.`,
  );
}

/** @param example how a good one is made, such as `new Date()` */
export function date(example: string): OptionRule {
  return rule(isValidDate, `give a valid Date, such as ${example}.`);
}

/** A {@link Duration} within bounds, in seconds. */
export function duration(bounds: { above?: number; most?: number; advice?: string } = {}): OptionRule {
  const { above = -1, most = Infinity, advice = 'write another duration.' } = bounds;
  return (value) => {
    const mistake = durationAdvice(value);
    if (mistake !== undefined) {
      return mistake;
    }
    const seconds = durationInSeconds(value as Duration);
    return seconds > above && seconds <= most ? undefined : advice;
  };
}

/** Whether it is a `Date` of some moment: `new Date('nonsense')` is a `Date`, too. */
export function isValidDate(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime());
}

function unknownOption(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const hint = near ? `Did you mean ${JSON.stringify(near)}?` : `Known are ${known.join(', ')}.`;
  return `there is no option ${JSON.stringify(name)}. ${hint}`;
}

function nearest(given: string, known: readonly string[]): string | undefined {
  return known.find((one) => isNear(one.toLowerCase(), given.toLowerCase()));
}

/** One letter more, less or different, two neighbours swapped, or one name begins with the other. */
function isNear(known: string, given: string): boolean {
  if (known.startsWith(given) || given.startsWith(known)) {
    return true;
  }
  let start = 0;
  while (start < known.length && known[start] === given[start]) {
    start++;
  }
  let end = 0;
  while (end < Math.min(known.length, given.length) - start && known.at(-1 - end) === given.at(-1 - end)) {
    end++;
  }
  const [left, right] = [known.slice(start, known.length - end), given.slice(start, given.length - end)];
  const isSwap = left.length === 2 && left === [...right].reverse().join('');
  return isSwap || (left.length <= 1 && right.length <= 1);
}
