import { join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { ROOT, textOf, USER_PAGES } from './support/pages.js';

const program = ts.createProgram([join(ROOT, 'lib/index.ts')], {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  experimentalDecorators: true,
  strict: true,
  skipLibCheck: true,
});
const checker = program.getTypeChecker();

it.each([
  ['docs/options.md', 'DownloadAuthOptions', ''],
  ['docs/options.md', 'LinkOptions', 'links.'],
  ['docs/options.md', 'TransportOptions', 'transports.'],
  ['docs/options.md', 'StreamDownloadOptions', ''],
  ['docs/options.md', 'CookieOptions', ''],
  ['docs/options.md', 'TokenNameOptions', ''],
  ['docs/options.md', 'AcceptOptions', ''],
  ['docs/keys.md', 'AcceptOptions', 'accept.'],
  ['docs/options.md', 'KeyRingEntry', ''],
  ['docs/confirmation.md', 'PromptOptions', 'prompts.'],
  ['docs/confirmation.md', 'PromptTexts', ''],
  ['docs/confirmation.md', 'LinkPrompt', ''],
  ['docs/delivery.md', 'DeliveryOptions', ''],
  ['docs/delivery.md', 'FileDownloadOptions', ''],
  ['docs/delivery.md', 'ReadableDownloadOptions', ''],
  ['docs/delivery.md', 'RedirectDownloadOptions', ''],
  ['docs/leases.md', 'LeaseOptions', ''],
  ['docs/links.md', 'CreateLinkOptions', ''],
  ['docs/links.md', 'LinkBindingOptions', ''],
  ['docs/links.md', 'LinkRevocation', ''],
])('%s names every option of %s', (page, type, prefix) => {
  const code = codeOf(page);
  const options = membersOf(type).map((member) => prefix + member);
  expect(options).not.toEqual([]);
  expect(options.filter((option) => !names(code, option))).toEqual([]);
});

it.each([
  ['docs/options.md', 'DownloadAuthOptions', ''],
  ['docs/options.md', 'LinkOptions', 'links.'],
  ['docs/options.md', 'TransportOptions', 'transports.'],
  ['docs/confirmation.md', 'PromptOptions', 'prompts.'],
  ['docs/delivery.md', 'DeliveryOptions', ''],
  ['docs/leases.md', 'LeaseOptions', ''],
])('the tables of %s give the defaults that the docstrings of %s give', (page, type, prefix) => {
  const defaults = defaultsIn(page);
  const options = typeOf(type)
    .getProperties()
    .map((option) => ({ name: prefix + option.name, value: defaultOf(option) }))
    .filter(({ name, value }) => value !== undefined && defaults.has(name));
  expect(options.length).toBeGreaterThan(0);
  expect(options.map(({ name }) => ({ name, value: defaults.get(name) }))).toEqual(options);
});

it('every export has a docstring, and the pages name everything that is more than a type', () => {
  const pages = USER_PAGES.map(codeOf).join('\n');
  const exported = exports().map((symbol) => ({ symbol, target: targetOf(symbol) }));
  const isUndocumented = ({ symbol, target }: (typeof exported)[number]) =>
    target.getDocumentationComment(checker).length === 0 ||
    ((target.flags & ts.SymbolFlags.Value) !== 0 && !names(pages, symbol.name));
  expect(exported.length).toBeGreaterThan(50);
  expect(exported.filter(isUndocumented).map(({ symbol }) => symbol.name)).toEqual([]);
});

it('docs/refusals.md names every code', () => {
  const codes = literalsOf(typeOf('RefusalCode'));
  expect(codes.length).toBeGreaterThan(15);
  expect(codes.filter((code) => !names(codeOf('docs/refusals.md'), code))).toEqual([]);
});

it('docs/events.md names every event and what it carries', () => {
  const events = (typeOf('DownloadEvent') as ts.UnionType).types;
  const members = events.flatMap((event) => event.getProperties().map(({ name }) => name));
  const types = events.flatMap((event) => literalsOf(checker.getTypeOfSymbol(event.getProperty('type')!)));
  expect(types.length).toBeGreaterThan(5);
  const code = codeOf('docs/events.md');
  expect([...types, ...new Set(members)].filter((name) => !names(code, name))).toEqual([]);
});

it('docs/costs.md lists every dependency and peer', () => {
  const { dependencies, peerDependencies } = JSON.parse(textOf('package.json')) as Record<string, object>;
  const section = textOf('docs/costs.md').split('## Dependencies')[1] ?? '';
  const rows = [...section.matchAll(/^\| (?!package|---)([^|]+) \|/gm)].flatMap(([, cell = '']) =>
    cell.split(', '),
  );
  expect(rows.sort()).toEqual(Object.keys(dependencies!).sort());
  expect(Object.keys(peerDependencies!).filter((name) => !names(section, name))).toEqual([]);
});

/** A default that is a number, a duration, a quoted text or a boolean; not one that is described in words. */
function defaultOf(option: ts.Symbol): string | undefined {
  const text = ts.displayPartsToString(option.getDocumentationComment(checker)).replaceAll('`', '');
  const value = /Default (\d+(?: (?:second|minute|hour|day)s?)?|true|false|'[^']*')(?=[.,:;)]|$)/.exec(
    text,
  )?.[1];
  return value?.replace(/^0 .*/, '0');
}

/** The defaults in the tables of a page whose head is `| option | default |`. */
function defaultsIn(page: string): Map<string, string> {
  const tables = [...textOf(page).matchAll(/^\| option \| default \|.*\n((?:\|.*\n)*)/gm)];
  const rows = tables.flatMap(([, body = '']) => body.replaceAll('`', '').split('\n'));
  return new Map(
    rows.map((row) => row.split(' | ')).map(([option = '', value = '']) => [option.slice(2), value]),
  );
}

/** What a page writes as code, where options and codes are named. */
function codeOf(page: string): string {
  const text = textOf(page);
  return [...text.matchAll(/^```.*?^```$|`[^`\n]+`/gms)].map(([code]) => code).join('\n');
}

function names(text: string, name: string): boolean {
  return (
    new RegExp(`(?<![\\w.])${name.replaceAll('.', '\\.')}(?!\\w)`).test(text) || text.includes(`.${name}\``)
  );
}

function typeOf(name: string): ts.Type {
  const exported = exports().find((symbol) => symbol.name === name);
  expect(exported, `${name} is not exported`).toBeDefined();
  return checker.getDeclaredTypeOfSymbol(targetOf(exported!));
}

function exports(): ts.Symbol[] {
  return checker.getExportsOfModule(
    checker.getSymbolAtLocation(program.getSourceFile(join(ROOT, 'lib/index.ts'))!)!,
  );
}

function targetOf(symbol: ts.Symbol): ts.Symbol {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
}

function membersOf(name: string): string[] {
  return typeOf(name)
    .getProperties()
    .map((property) => property.name);
}

function literalsOf(type: ts.Type): string[] {
  return (type.isUnion() ? type.types : [type]).flatMap((member) =>
    member.isStringLiteral() ? member.value : [],
  );
}
