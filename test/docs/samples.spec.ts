import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Compiler } from './support/compiler.js';
import { ROOT, textOf, USER_PAGES } from './support/pages.js';
import { quickStart } from './support/quick-start.js';

/** Modules whose exports a sample may use without importing them, by the heading above it. The first wins. */
const MODULES = {
  Angular: ['@angular/core', '@angular/common/http', 'rxjs'],
  React: ['react'],
  Vue: ['vue'],
  server: [
    'nestjs-download-auth', 'nestjs-download-auth/postgres', 'nestjs-download-auth/redis',
    'nestjs-download-auth/sqlite', 'nestjs-download-auth/swagger', 'nestjs-download-auth/testing', '@nestjs/common',
    '@nestjs/core', '@nestjs/config', '@nestjs/jwt', '@nestjs/platform-express', '@nestjs/platform-fastify',
    '@nestjs/swagger', '@nestjs/testing', 'rxjs', '@aws-sdk/client-s3', '@flystorage/file-storage', 'pg', 'prom-client', 'pino-http', 'rate-limiter-flexible',
    '@nestjs/passport', 'passport-jwt', 'node:fs', 'node:stream',
  ],
} as const; // prettier-ignore

/** The application around a sample: names that it uses, and neither declares nor imports. */
const NAMES: Readonly<Record<string, string>> = {
  ApiKeyGuard: 'declare class ApiKeyGuard { canActivate(): boolean; }',
  app: "declare const app: import('@nestjs/platform-express').NestExpressApplication;",
  AppModule: 'declare class AppModule {}',
  Database: 'interface Database { insertInto(table: string, rows: object[]): Promise<void> }',
  describe: 'declare function describe(name: string, body: () => void): void;',
  environment: 'declare const environment: { api: string };',
  FilesController: 'declare class FilesController { download(id: string): unknown; }',
  id: 'declare const id: string;',
  JwtAuthGuard: 'declare class JwtAuthGuard { canActivate(): boolean; }',
  it: 'declare function it(name: string, body: () => unknown): void;',
  link: "declare const link: import('nestjs-download-auth').DownloadLink;",
  join: "import { basename, join } from 'node:path';",
  links: "declare const links: import('nestjs-download-auth').DownloadLinks;",
  MyStore: "declare const MyStore: typeof import('nestjs-download-auth').MemoryLeaseStore;",
  Pages:
    'declare class Pages { assertReadable(page: string, user?: string): void; fileOf(page: string, id: string): string; }',
  Passwords: 'declare class Passwords { hashOf(share: unknown): Promise<string>; }',
  path: 'declare const path: string;',
  Photos:
    'declare class Photos { open(id: string): { file: string; name: string }; openFor(caller: object, id: string): { file: string; name: string }; }',
  request: "import request from 'supertest';",
  row: 'declare const row: { path: string; sha256: string };',
  Session: 'declare class Session { accessToken(): string | undefined; }',
  SessionGuard: 'declare class SessionGuard { canActivate(): boolean; }',
  ShareGuard: 'declare class ShareGuard { canActivate(): boolean; }',
  Shares:
    'declare class Shares { open(id: string): { folder: string; expiresAt: Date }; count(id: string): Promise<void>; ownerOf(id: string): Promise<string>; }',
  ShareTable: 'declare class ShareTable { find(id: string): Promise<{ folder: string; updatedAt: Date }>; }',
  SignedInGuard: 'declare class SignedInGuard { canActivate(): boolean; }',
  Tenants: 'declare class Tenants { keyOf(token: string): string; secretOf(tenant: string): string; }',
  TenantsModule: 'declare class TenantsModule {}',
  token: 'declare const token: string;',
  user: 'declare const user: { sub: string };',
  VideosController: 'declare class VideosController { file(id: string, file: string): unknown; }',
  VisitorGuard: 'declare class VisitorGuard { canActivate(): boolean; }',
};

/** Services that a sample uses as `this.NAME`, where it shows a part of a class only. */
const MEMBERS: Readonly<Record<string, string>> = {
  archives: 'private readonly archives!: { write(folder: string): Promise<string> };',
  files: 'private readonly files!: { open(id: string, subject?: string): unknown };',
  outbox: 'private readonly outbox!: { remove(id: string): Promise<void> };',
};

interface Sample {
  /** `docs/links.md:12` */
  readonly place: string;
  readonly file: string;
  readonly code: string;
  readonly modules: readonly string[];
}

const compiler = new Compiler();
const samples = USER_PAGES.flatMap(samplesOf);
const problems = compile(samples);

it.each(samples.map((sample) => [sample.place, sample] as const))('%s compiles', (_place, { file }) => {
  expect(problems.get(file)).toEqual([]);
});

it('the files of the quick start compile', () => {
  const files = Object.entries(quickStart());
  const texts = files.map(([name, text]): [string, string] => [
    join(ROOT, 'test/docs/quick-start', name),
    text,
  ]);
  expect([...compiler.check(new Map(texts)).values()]).toEqual(texts.map(() => []));
});

it('finds the samples of every page that has one', () => {
  const fences = USER_PAGES.map((page) => textOf(page).match(/^ *```tsx?$/gm)?.length ?? 0);
  expect(samples.length).toBe(fences.reduce((sum, count) => sum + count));
  expect(samples.length).toBeGreaterThan(30);
});

/** A name before a sample, as in "`src/auth.ts` is where …", is its file: samples can import one another. */
function samplesOf(page: string): Sample[] {
  const text = textOf(page);
  const folder = join(ROOT, 'test/docs', page.replace(/\W/g, '-'));
  return [...text.matchAll(/(?:^`(src\/[\w./-]+)`[^\n]*\n\n)?^ *```(tsx?)\n(.*?)^ *```$/gms)].map((match) => {
    const [all, name, language, code = ''] = match;
    const before = text.slice(0, match.index + all.indexOf('```'));
    const line = before.split('\n').length;
    const heading =
      before
        .match(/^## .*$/gm)
        ?.at(-1)
        ?.slice(3) ?? '';
    return {
      place: `${page}:${line}`,
      file: join(folder, name ?? `sample-${line}.${language}`),
      code: completed(code),
      modules: MODULES[heading as keyof typeof MODULES] ?? MODULES.server,
    };
  });
}

/** Puts a class around members, and a method around statements that return. */
function completed(code: string): string {
  const members = [
    ...new Set([...code.matchAll(/\bthis\.(\w+)/g)].map(([, name = '']) => MEMBERS[name] ?? '')),
  ];
  const [, imports = '', rest = ''] = /^((?:import [^\n]*\n|\n)*)(.*)$/s.exec(code) ?? [];
  if (/^@\w+\([^\n]*\n(?:@.*\n)*\w+\(/.test(rest)) {
    return `${imports}class Sample { ${members.join(' ')}\n${rest}}`;
  }
  if (/^return\b/m.test(code)) {
    return `class Sample { ${members.join(' ')} async sample(folder: string) {\n${code}}}`;
  }
  return code;
}

/** Compiles twice: to learn which names are missing, and again with what declares them. */
function compile(all: readonly Sample[]): Map<string, string[]> {
  const known = compiler.exportsOf([...new Set(Object.values(MODULES).flat())]);
  const first = compiler.check(new Map(all.map(({ file, code }) => [file, `${code}\nexport {};\n`])));
  const texts = all.map(({ file, code, modules }): [string, string] => {
    const missing = new Set(first.get(file)?.flatMap((problem) => problem.missing ?? []));
    const declarations = [...missing].map((name) => {
      const module = modules.find((candidate) => known.get(candidate)?.has(name));
      return NAMES[name] ?? (module ? `import { ${name} } from '${module}';` : '');
    });
    return [file, `${code}\nexport {};\n${declarations.join('\n')}`]; // at the end, so that lines keep their numbers
  });
  const second = compiler.check(new Map(texts));
  return new Map([...second].map(([file, found]) => [file, found.map(({ message }) => message)]));
}
