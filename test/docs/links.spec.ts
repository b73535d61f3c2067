import { dirname, join } from 'node:path/posix';
import { expect, it } from 'vitest';
import { ALL_PAGES, exists, PENDING_PAGES, textOf } from './support/pages.js';

it.each(ALL_PAGES)('every link of %s leads somewhere', (page) => {
  const broken = linksOf(page).filter((target) => !leadsSomewhere(page, target));
  expect(broken).toEqual([]);
});

it('every page of docs/ is one click away from README.md', () => {
  const linked = linksOf('README.md').map((target) => target.replace(/#.*/, ''));
  expect(ALL_PAGES.filter((page) => page.startsWith('docs/') && !linked.includes(page))).toEqual([]);
});

it('README.md has at most 13,000 bytes', () => {
  expect(Buffer.byteLength(textOf('README.md'))).toBeLessThanOrEqual(13_000);
});

/** Relative links of a page, those of its own sections included. */
function linksOf(page: string): string[] {
  const targets = [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : join(dirname(page), path);
  if (PENDING_PAGES.includes(file)) {
    return true;
  }
  return exists(file) && (anchor === undefined || anchorsOf(file).includes(anchor));
}

/** The ids that GitHub gives to headings; a repeated one gets a number. */
function anchorsOf(page: string): string[] {
  const seen = new Map<string, number>();
  return [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const id = text
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    const count = seen.get(id) ?? 0;
    seen.set(id, count + 1);
    return count === 0 ? id : `${id}-${count}`;
  });
}

/** A page without its code, in which brackets and hashes mean something else. */
function prose(page: string): string {
  return textOf(page)
    .replace(/^ *```.*?^ *```$/gms, '')
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[()[\]]/g, ''));
}
