import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEMO_USERS } from './settings.js';
import type { Storage } from './storage.js';

/**
 * Commands for a POSIX shell that sign in and save a file: by header, by cookie and by a link.
 * @param address such as `http://127.0.0.1:3000`
 * @param folder where to save it
 */
export function shellCommands(address: string, fileId: string, folder: string = tmpdir()): string[] {
  const [[username, password]] = [...DEMO_USERS] as [[string, string]];
  const file = `${address}/files/${inUrl(fileId)}`;
  const save = `curl -fo '${join(folder, fileId.replace(/[^\w.-]/g, '-'))}'`;
  const bearer = '-H "Authorization: Bearer $TOKEN"';
  return [
    `TOKEN=$(curl -s ${address}/auth/login -d 'username=${username}&password=${password}' | ${field('accessToken')})`,
    `${save} '${file}' ${bearer}`,
    `${save} '${file}' -b "ss-tok=$TOKEN"`,
    `LINK=$(curl -s -X POST '${file}/links' ${bearer} | ${field('url')})`,
    `${save} "${address}$LINK"`,
  ];
}

/** The text that the application prints when it has started. */
export function startMessage(
  address: string,
  filesDir: string,
  storage: Storage,
  commands: readonly string[],
): string {
  const users = [...DEMO_USERS].map(([name, password]) => `${name} / ${password}`).join('   ');
  return [
    '',
    'Private downloads, the sample application of nestjs-download-auth',
    '',
    `  Page      ${address}`,
    `  Sign in   ${users}`,
    `  Files     ${filesDir}`,
    `  Links     ${whereLinksAre(storage)}`,
    '',
    ...(commands.length > 0 ? ['By header, by cookie and by link, in a shell:', '', ...commands, ''] : []),
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
