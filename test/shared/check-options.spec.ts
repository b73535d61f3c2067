import { expect, it } from 'vitest';
import { DownloadAuthConfigurationError } from '../../lib/index.js';
import * as check from '../../lib/shared/check-options.js';

const RULES = {
  name: check.text('such as a file'),
  size: check.wholeNumber(1, 10, ', or leave it out'),
  count: check.wholeNumber(0),
  isOn: check.boolean,
  mode: check.oneOf('fast', 'safe', false),
  since: check.date('new Date()'),
  age: check.duration({ above: 0, most: 60, advice: 'write a minute or less.' }),
  wait: check.duration(),
  hook: check.callable,
  extra: check.anything,
};

function messageOf(options: unknown, prefix?: string): string | undefined {
  try {
    check.checkOptions(options as object, RULES, 'place', prefix);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(DownloadAuthConfigurationError);
    return (error as Error).message;
  }
}

it.each([
  [undefined],
  [{}],
  [{ name: undefined, size: undefined }],
  [{ name: 'a', size: 10, count: 0, isOn: false, mode: false, since: new Date(), age: '1m', wait: 0 }],
  [{ hook: () => undefined, extra: Symbol('anything') }],
])('accepts %j', (options) => expect(messageOf(options)).toBeUndefined());

it.each([
  [null, 'place: give an object of options.'],
  ['text', 'place: give an object of options.'],
  [[], 'place: give an object of options.'],
  [{ name: 5 }, 'place.name: give a string, such as a file.'],
  [{ size: 0 }, 'place.size: write a whole number from 1 to 10, or leave it out.'],
  [{ size: 1.5 }, 'place.size: write a whole number from 1 to 10, or leave it out.'],
  [{ count: -1 }, 'place.count: write a whole number of at least 0.'],
  [{ isOn: 'false' }, /^place\.isOn: write true or false; .*process\.env\.NAME === 'true'/],
  [{ mode: 'quick' }, "place.mode: write 'fast', 'safe' or false."],
  [{ since: new Date(NaN) }, 'place.since: give a valid Date, such as new Date().'],
  [{ since: '2026-01-31' }, 'place.since: give a valid Date, such as new Date().'],
  [{ age: 0 }, 'place.age: write a minute or less.'],
  [{ age: '2m' }, 'place.age: write a minute or less.'],
  [{ age: 'soon' }, /^place\.age: "soon" is not a duration/],
  [{ wait: '-1s' }, /^place\.wait: "-1s" is not a duration/],
  [{ hook: {} }, 'place.hook: give a function.'],
])('says what to write instead of %j', (options, message) => {
  expect(messageOf(options)).toMatch(message);
});

it.each([
  ['a letter more', 'sizee', 'size'],
  ['a letter less', 'siz', 'size'],
  ['another letter', 'sise', 'size'],
  ['two letters swapped', 'szie', 'size'],
  ['another case', 'ison', 'isOn'],
  ['a longer name', 'nameOfFile', 'name'],
])('hints at the option that was meant: %s', (_name, given, meant) => {
  expect(messageOf({ [given]: 1 })).toBe(`place: there is no option "${given}". Did you mean "${meant}"?`);
});

it.each(['colour', 'constructor', 'emas'])('names the known options where none is near: %s', (given) => {
  expect(messageOf({ [given]: 1 })).toBe(
    `place: there is no option "${given}". Known are ${Object.keys(RULES).join(', ')}.`,
  );
});

it('uses the prefix of its caller for members', () => {
  expect(messageOf({ hook: 1 }, '')).toBe('hook: give a function.');
});
