import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ROOT, textOf } from './support/pages.js';

const PAGE = textOf('docs/migrating.md');
const [, ...SECTIONS] = PAGE.split(/^## /m);

const APPLICATIONS = 'test/applications';

/** The rows of the table of applications, and which files are counted with this package. */
it.each([
  ['a wiki with sessions', 'wiki', ['attachments.controller.ts', 'wiki.module.ts']],
  ['a CRM with a token for one file', 'crm', ['files.controller.ts', 'crm.module.ts']],
])('docs/migrating.md says how many lines %s has', (application, folder, files) => {
  const byHand = readdirSync(`${ROOT}/${APPLICATIONS}/${folder}/by-hand`);
  const lines = (names: string[], inFolder: string) =>
    names.reduce((sum, name) => sum + linesOf(textOf(`${APPLICATIONS}/${inFolder}/${name}`)), 0);
  const row = new RegExp(`^\\| ${application} \\| (\\d+) lines \\| (\\d+) lines \\|`, 'm').exec(PAGE);
  expect(row?.slice(1)).toEqual([lines(byHand, `${folder}/by-hand`), lines(files, folder)].map(String));
});

it.each(
  SECTIONS.filter((section) => section.includes('lines become')).map((section) => [
    titleOf(section),
    section,
  ]),
)('%s: the lines of code are as many as the page says', (_title, section) => {
  const [before = '', after = ''] = [...section.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
  const said = /(\d+) lines become (\d+)/.exec(section)?.slice(1);
  expect(said).toEqual([linesOf(before), linesOf(after)].map(String));
});

function titleOf(section: string): string {
  return section.slice(0, section.indexOf('\n'));
}

/** Lines of code: not those that are empty, a comment, or an import. */
function linesOf(code: string): number {
  const withoutImports = code.replace(/^import [^;]*;\n/gm, '');
  return withoutImports.split('\n').filter((line) => !/^\s*($|\/\/|\/?\*)/.test(line)).length;
}
