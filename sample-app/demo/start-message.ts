import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEMO_USERS } from './settings.js';
import type { Storage } from './storage.js';

/** A command for a POSIX shell, and what it shows. */
export interface ShellExample {
  readonly title: string;
  readonly command: string;
}

/**
 * The ways to send a token as commands, each of which signs in and saves the file.
 * @param address such as `http://127.0.0.1:3000`
 * @param fileId the file to fetch
 * @param folder where to save it
 */
export function shellExamples(address: string, fileId: string, folder: string = tmpdir()): ShellExample[] {
  const [[username, password]] = [...DEMO_USERS] as [[string, string]];
  const name = inUrl(fileId);
  const file = `${address}/files/${name}`;
  const save = `curl -fo '${join(folder, fileId.replace(/[^\w.-]/g, '-'))}'`;
  const login = `$(curl -s ${address}/auth/login -d 'username=${username}&password=${password}' | ${field('accessToken')})`;
  const mint = `$(curl -s -X POST '${file}/links' -H "Authorization: Bearer ${login}" | ${field('url')})`;
  return [
    { title: 'Authorization header', command: `${save} '${file}' -H "Authorization: Bearer ${login}"` },
    { title: 'ss-tok cookie', command: `${save} '${file}' -b "ss-tok=${login}"` },
    { title: 'expiring link, good for 5 minutes', command: `${save} "${address}${mint}"` },
  ];
}

/** The text that the application prints when it has started. */
export function startMessage(
  address: string,
  filesDir: string,
  storage: Storage,
  examples: readonly ShellExample[],
): string {
  const users = [...DEMO_USERS].map(([name, password]) => `${name} / ${password}`).join('   ');
  const lines = examples.flatMap(({ title, command }) => ['', `# ${title}`, command]);
  return [
    '',
    'Private downloads, the sample application of nestjs-download-auth',
    '',
    `  Page      ${address}`,
    `  Sign in   ${users}`,
    `  Files     ${filesDir}`,
    `  Links     ${whereLinksAre(storage)}`,
    '',
    ...(lines.length > 0 ? ['The same in a shell; each line works as it is:', ...lines, ''] : []),
  ].join('\n');
}

/** Percent-encoded for a path, with no character left that is special in a shell. */
function inUrl(name: string): string {
  return encodeURIComponent(name).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function field(name: string): string {
  return `sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/'`;
}

function whereLinksAre(storage: Storage): string {
  switch (storage.kind) {
    case 'memory':
      return 'in memory; set DATABASE_URL, REDIS_URL or SQLITE_FILE to keep and share them';
    case 'redis':
      return `in Redis at ${new URL(storage.url).host}, shared by instances with the same REDIS_URL and JWT_SECRET`;
    case 'postgres':
      return `in PostgreSQL at ${new URL(storage.url).host}, shared by instances with the same DATABASE_URL and JWT_SECRET`;
    case 'sqlite':
      return `in ${storage.file}, shared by processes with the same SQLITE_FILE and JWT_SECRET`;
  }
}
