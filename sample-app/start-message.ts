import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEMO_USERS } from './auth/demo-users.js';
import type { Storage } from './storage/storage.js';

/** A command that can be pasted into a shell, and what it shows. */
export interface ShellExample {
  readonly title: string;
  readonly command: string;
}

/**
 * The three ways in as lines for a POSIX shell, each of which signs in by itself and saves the file.
 * @param address of the application, such as `http://127.0.0.1:3000`
 * @param fileId the file that is fetched
 * @param folder where it is saved
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

/** What a person sees who has started the application. */
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
    ...(lines.length > 0 ? ['The same from a shell; each line can be pasted as it is:', ...lines, ''] : []),
  ].join('\n');
}

/** Percent-encoded for a path, and with nothing left in it that a shell would read as its own. */
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
      return 'in memory; set REDIS_URL or SQLITE_FILE to keep and to share them';
    case 'redis':
      return `in Redis at ${new URL(storage.url).host}, shared by instances with the same REDIS_URL and JWT_SECRET`;
    case 'sqlite':
      return `in ${storage.file}, shared by processes with the same SQLITE_FILE and JWT_SECRET`;
  }
}
