import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Pages for users: README.md and docs/. */
export const USER_PAGES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Written separately; links to them are not checked before they exist. */
export const PENDING_PAGES = ['ARCHITECTURE.md', 'CONTRIBUTING.md'].filter((page) => !exists(page));

export const ALL_PAGES = [
  ...USER_PAGES,
  'SECURITY.md',
  'CHANGELOG.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
].filter(exists);

export function exists(path: string): boolean {
  return existsSync(join(ROOT, path));
}

export function textOf(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}
