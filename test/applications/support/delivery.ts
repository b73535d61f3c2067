import { parse } from 'content-disposition';
import { expect } from 'vitest';
import { COUNTS_DESCRIPTORS, openDescriptors } from '../../support/files.js';
import { start } from '../../support/http-client.js';
import type { Answer } from '../../support/http-client.js';
import type { TestApp } from '../../support/test-app.js';
import { until } from '../../support/until.js';

/** A private file of an application, asked for by somebody who may have it. */
export interface PrivateFile {
  readonly app: TestApp;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Larger than what sockets hold. */
  readonly bytes: Buffer;
  /** The name under which it is to be saved. */
  readonly name: string;
  /** The path of a download that the application knows, but whose file has gone. */
  readonly lost: string;
  /** Where the application keeps its files. */
  readonly folder: string;
}

/** More than the sockets of a client that does not read hold. */
export const MORE_THAN_SOCKETS_HOLD = 16 << 20;

/** What is right for any download, and what serving by hand gets wrong. */
export const RIGHTS: readonly (readonly [string, (file: PrivateFile) => Promise<void>])[] = [
  ['the whole file has a length and a validator', whole],
  ['it is saved under its name, whatever the name is', named],
  ['neither shared caches keep it nor browsers guess its type', kept],
  ['a range in the middle is 206', (file) => range(file, 'bytes=10-19', 10, 20)],
  ['the last bytes are 206', (file) => range(file, 'bytes=-5', file.bytes.length - 5, file.bytes.length)],
  ['an end beyond the file is cut', (file) => range(file, 'bytes=7-999999999999', 7, file.bytes.length)],
  ['a range beyond the file is 416', unsatisfiable],
  ['several ranges are multipart', several],
  ['what the client has is 304', unchanged],
  ['If-Match and If-Range are heeded', conditions],
  ['HEAD has the headers of GET and opens nothing', head],
  ['a file that is lost is a 404 without the headers of the file', lost],
  ['a client that leaves frees the descriptor', aborted],
];

interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

function ask({ app, path, headers }: PrivateFile, more: Asking = {}): Promise<Answer> {
  return app.request(path, { ...more, headers: { ...headers, ...more.headers } });
}

function expectBytes(answer: Answer, status: number, bytes: Buffer): void {
  expect(answer.status).toBe(status);
  expect(answer.headers['content-length']).toBe(String(bytes.length));
  expect(answer.body.equals(bytes)).toBe(true);
}

async function whole(file: PrivateFile): Promise<void> {
  const answer = await ask(file);
  expectBytes(answer, 200, file.bytes);
  expect(answer.headers.etag).toMatch(/^"[^"]+"$/);
  expect(answer.headers['accept-ranges']).toBe('bytes');
}

async function named(file: PrivateFile): Promise<void> {
  const { headers } = await ask(file, { method: 'HEAD' });
  expect(parse(headers['content-disposition'] ?? '')).toMatchObject({
    type: 'attachment',
    parameters: { filename: file.name },
  });
}

async function kept(file: PrivateFile): Promise<void> {
  const { headers } = await ask(file, { method: 'HEAD' });
  expect(headers['cache-control']).toMatch(/private|no-store/);
  expect(headers['x-content-type-options']).toBe('nosniff');
}

async function range(file: PrivateFile, value: string, start: number, end: number): Promise<void> {
  const answer = await ask(file, { headers: { range: value } });
  expectBytes(answer, 206, file.bytes.subarray(start, end));
  expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${file.bytes.length}`);
}

async function unsatisfiable(file: PrivateFile): Promise<void> {
  const answer = await ask(file, { headers: { range: `bytes=${file.bytes.length}-` } });
  expect(answer.status).toBe(416);
  expect(answer.headers['content-range']).toBe(`bytes */${file.bytes.length}`);
}

async function several(file: PrivateFile): Promise<void> {
  const answer = await ask(file, { headers: { range: 'bytes=0-1,100-101' } });
  expect(answer.status).toBe(206);
  expect(answer.headers['content-type']).toMatch(/^multipart\/byteranges; boundary=/);
  expect(answer.body.includes(file.bytes.subarray(100, 102))).toBe(true);
}

async function unchanged(file: PrivateFile): Promise<void> {
  const { etag, 'last-modified': modified } = (await ask(file, { method: 'HEAD' })).headers;
  for (const headers of [{ 'if-none-match': etag }, { 'if-modified-since': modified }]) {
    const answer = await ask(file, { headers });
    expect([answer.status, answer.body.length]).toEqual([304, 0]);
  }
}

async function conditions(file: PrivateFile): Promise<void> {
  expect((await ask(file, { headers: { 'if-match': '"another"' } })).status).toBe(412);
  const resumed = await ask(file, { headers: { range: 'bytes=5-', 'if-range': '"another"' } });
  expectBytes(resumed, 200, file.bytes);
}

async function head(file: PrivateFile): Promise<void> {
  const answer = await ask(file, { method: 'HEAD' });
  expect([answer.status, answer.body.length]).toEqual([200, 0]);
  expect(answer.headers['content-length']).toBe(String(file.bytes.length));
  await nothingIsOpen(file);
}

async function lost(file: PrivateFile): Promise<void> {
  for (const method of ['GET', 'HEAD']) {
    const { status, headers } = await ask({ ...file, path: file.lost }, { method });
    expect(status).toBe(404);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(headers).not.toHaveProperty('content-disposition');
    expect(headers).not.toHaveProperty('accept-ranges');
    expect(headers['cache-control'] ?? 'no-store').toBe('no-store');
  }
}

async function aborted(file: PrivateFile): Promise<void> {
  const answer = await start(file.app.url + file.path, { headers: file.headers });
  answer.leave();
  await nothingIsOpen(file);
}

async function nothingIsOpen({ folder }: PrivateFile): Promise<void> {
  if (COUNTS_DESCRIPTORS) {
    await until(() => openDescriptors(folder) === 0, 'an end to all descriptors');
  }
}

/** What is wrong about a file served by hand, but for descriptors: some stay open, some of the time. */
export async function wrongs(file: PrivateFile): Promise<string[]> {
  const found: string[] = [];
  for (const [right, check] of RIGHTS.filter(([, check]) => check !== head && check !== aborted)) {
    await check(file).catch(() => found.push(right));
  }
  return found;
}
