import { NestFactory } from '@nestjs/core';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type * as Library from '../../lib/index.js';
import { compiledLibrary } from '../support/compiled-library.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { bearer, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { badLinks, letIn } from './support/attacks.js';
import { MORE_THAN_SOCKETS_HOLD, RIGHTS } from './support/delivery.js';
import { post, statusOf } from './support/requests.js';

const BYTES = pattern(MORE_THAN_SOCKETS_HOLD);
const NAME = '01 – Début.mp3';
const CHAPTER = `/books/dune/${encodeURIComponent(NAME)}`;

const folder = temporaryFolder();
for (const book of ['dune', 'emma']) {
  mkdirSync(join(folder.path, book));
}
folder.file(`dune/${NAME}`, BYTES);
folder.file('emma/1.mp3', 'of emma');
folder.file('.accounts', 'not a book');

const library = compiledLibrary();
const build = compiled('audiobooks');
let app: TestApp;
let ada: { authorization: string };
let grace: { authorization: string };
beforeAll(async () => {
  process.env.BOOKS_FOLDER = folder.path;
  const { AppModule } = build.load('./app.module.js') as { AppModule: unknown };
  app = await startApp({ adapter: 'fastify', controllers: [], imports: [AppModule] });
  [ada, grace] = [await signIn('ada'), await signIn('grace')];
});
afterAll(async () => {
  await app.close();
  delete process.env.BOOKS_FOLDER;
  [folder, build].forEach((each) => each.remove());
});

async function signIn(name: string): Promise<{ authorization: string }> {
  const answer = await post(app, '/session', { name, password: `password of ${name}` });
  return bearer(answer.json.accessToken);
}

async function link(
  path: string,
  headers: { authorization: string },
): Promise<{ url: string; token: string }> {
  const answer = await post(app, `${path}/links`, {}, headers);
  expect(answer.status).toBe(201);
  return answer.json;
}

it.each(RIGHTS)('%s', (_right, check) =>
  check({
    app,
    path: CHAPTER,
    headers: ada,
    bytes: BYTES,
    name: NAME,
    lost: '/books/dune/lost.mp3',
    folder: folder.path,
  }),
);

it('the guard of the application decides wherever there is no link', async () => {
  expect(await statusOf(app, CHAPTER)).toBe(401);
  expect(await statusOf(app, CHAPTER, bearer('no-token'))).toBe(401);
  expect(await statusOf(app, CHAPTER, grace)).toBe(403);
  expect(await statusOf(app, CHAPTER, ada)).toBe(200);
});

it('a link opens its chapter, beside the header of a client that always sends it', async () => {
  const { url } = await link(CHAPTER, ada);
  expect(await statusOf(app, url)).toBe(200);
  expect(await statusOf(app, url, grace)).toBe(200);
  expect(await statusOf(app, url, bearer('stale'))).toBe(200);
});

it('no bad link gets the chapter, nor does a good one on another route', async () => {
  const { token } = await link(CHAPTER, ada);
  const { token: other } = await link('/books/emma/1.mp3', grace);
  const misplaced = [
    ['to make further links', `${CHAPTER}/links?ss-tok=${token}`, { method: 'POST' }],
    ['as an access token', `${CHAPTER}/links`, { method: 'POST', headers: bearer(token) }],
  ] as const;
  expect(await letIn(app, [...badLinks(CHAPTER, token, other), ...misplaced])).toEqual([]);
});

it('nothing outside of the books is found, however it is spelled', async () => {
  for (const name of [
    `..%2Femma%2F1.mp3`,
    '..%2F.accounts',
    '%2e%2e%2f.accounts',
    '..%5C.accounts',
    encodeURIComponent(__filename),
  ]) {
    expect(await statusOf(app, `/books/dune/${name}`, ada)).toBe(404);
  }
});

it('a worker without controllers makes links that open', async () => {
  const { DownloadAuthModule, DownloadLinks } = build.load('nestjs-download-auth') as typeof Library;
  const module = DownloadAuthModule.forRoot({
    auth: 'links',
    links: {
      secret: 'the secret of the links of the audiobook server',
      routes: { chapter: '/books/:book/:chapter' },
    },
  });
  const worker = await NestFactory.createApplicationContext(module, { logger: false });
  const { url } = worker.get(DownloadLinks).create('chapter', { params: { book: 'dune', chapter: NAME } });
  expect(await statusOf(app, url)).toBe(200);
  await worker.close();
});

it('a link outlives the names of class and method, which a minifier changes', async () => {
  const { url } = await link(CHAPTER, ada);
  const minified = compiled('audiobooks', (code) =>
    code.replaceAll('BooksController', 'xQ').replace(/^ {2}chapter\(/m, '  m('),
  );
  const { AppModule } = minified.load('./app.module.js') as { AppModule: unknown };
  const next = await startApp({ adapter: 'fastify', controllers: [], imports: [AppModule] });
  expect(await statusOf(next, url)).toBe(200);
  await next.close();
  minified.remove();
});

/** Compiles an application to CommonJS, as its maintainers do, with the package beside it. */
function compiled(
  name: string,
  rename = (code: string) => code,
): { load(id: string): unknown; remove(): void } {
  const source = fileURLToPath(new URL(name, import.meta.url));
  const target = mkdtempSync(join(library, '..', `${name}-`));
  const options = {
    module: ts.ModuleKind.CommonJS,
    target: ts.ScriptTarget.ES2022,
    experimentalDecorators: true,
  };
  for (const file of readdirSync(source).filter((file) => file.endsWith('.ts'))) {
    const { outputText } = ts.transpileModule(rename(readFileSync(join(source, file), 'utf8')), {
      compilerOptions: { ...options, emitDecoratorMetadata: true, esModuleInterop: true },
    });
    writeFileSync(join(target, file.replace(/\.ts$/, '.js')), outputText);
  }
  writeFileSync(join(target, 'package.json'), readFileSync(join(source, 'package.json')));
  mkdirSync(join(target, 'node_modules'));
  symlinkSync(library, join(target, 'node_modules/nestjs-download-auth'));
  return { load: createRequire(join(target, 'main.js')), remove: () => rmSync(target, { recursive: true }) };
}
