import { DownloadAuthConfigurationError } from './configuration-error.js';

/**
 * @throws DownloadAuthConfigurationError for a member that is none of the known ones, with the nearest of
 *   them
 */
export function refuseUnknown(
  options: object | null | undefined,
  known: readonly string[],
  place: string,
): void {
  if (options === undefined) {
    return;
  }
  if (typeof options !== 'object' || options === null) {
    throw new DownloadAuthConfigurationError(`${place}: give an object of options.`);
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) {
    return;
  }
  const near = known.find((name) => isNear(name.toLowerCase(), unknown.toLowerCase()));
  throw new DownloadAuthConfigurationError(
    `${place}: there is no option ${JSON.stringify(unknown)}. ` +
      (near ? `Did you mean ${JSON.stringify(near)}?` : `Known are ${known.join(', ')}.`),
  );
}

/** One letter more, less, other, or two letters swapped; or one name begins with the other. */
function isNear(known: string, given: string): boolean {
  if (known.startsWith(given) || given.startsWith(known)) {
    return true;
  }
  if (Math.abs(known.length - given.length) > 1) {
    return false;
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
  return left.length <= 1 && right.length <= 1
    ? true
    : left.length === 2 && left === [...right].reverse().join('');
}
