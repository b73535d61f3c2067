import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { publint } from 'publint';
import { describe, expect, inject, it } from 'vitest';
import { ROOT, run } from './support.js';

const project = inject('project');
const node = (...args: string[]) => run(project.folder, process.execPath, args);

describe('the tarball', () => {
  it('holds what was compiled and the pages about it, and nothing else', () => {
    const docs = readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`);
    const pages = [
      'ARCHITECTURE.md',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'dist/package.json',
      ...docs,
      'package.json',
    ];
    const others = project.files.filter(
      (path) => !/^dist\/[\w./-]+(\.m?js|\.m?js\.map|\.d\.m?ts)$/.test(path),
    );
    expect(others.sort()).toEqual(pages.sort());
    expect(project.files.filter((path) => /spec|test\/|sample-app|bench/.test(path))).toEqual([]);
  });

  it('has a declaration for every module', () => {
    const modules = project.files.filter((path) => /\.m?js$/.test(path));
    expect(modules.length).toBeGreaterThan(0);
    for (const path of modules) {
      expect(project.files).toContain(path.replace(/\.(m?)js$/, '.d.$1ts'));
    }
  });

  it('has types of the same entries for the resolution of old, which knows no exports', () => {
    const { exports, typesVersions } = manifestOf(project.installed);
    const typed = Object.entries(exports).filter(([name]) => !['.', './package.json'].includes(name));
    const expected = typed.map(([name, { types }]) => [name.slice(2), [types]]);
    expect(typesVersions).toEqual({ '*': Object.fromEntries(expected) });
  });

  it('satisfies publint', async () => {
    const { messages } = await publint({ pkgDir: project.installed, pack: false, strict: true });
    expect(messages).toEqual([]);
  });

  it('loads from its root entry what its users have for certain, and no optional dependency', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta = {} } = manifestOf(project.installed);
    const certain = Object.keys({ ...dependencies, ...peerDependencies });
    const optional = Object.keys(peerDependenciesMeta);
    const loaded = packagesLoadedBy(join(project.installed, 'dist/index.js'));
    expect([...loaded].filter((name) => !certain.includes(name) || optional.includes(name))).toEqual([]);
  });
});

describe('an application that has installed the tarball', () => {
  it('sees the sources in a stack trace', async () => {
    const script = `
      import('nestjs-download-auth').then((m) => {
        try { m.DownloadAuthModule.forRoot() } catch (error) { console.log(error.stack) }
      })`;
    const { code, output } = await node('--enable-source-maps', '-e', script);
    expect(code).toBe(0);
    expect(output).toMatch(/lib\/resolve-options\.ts:\d+:\d+/);
    expect(output).not.toContain('dist/resolve-options.js');
  });

  it('has the command', async () => {
    const bin = join(project.folder, 'node_modules/.bin/nestjs-download-auth');
    expect(await run(project.folder, bin, ['key'])).toEqual({
      code: 0,
      output: expect.stringMatching(/^[\w-]{64}\n$/),
    });
  });

  it('loads it by import', async () => {
    const script = `import('nestjs-download-auth').then(m => console.log(typeof m.DownloadAuthModule.forRoot))`;
    expect(await node('-e', script)).toEqual({ code: 0, output: 'function\n' });
  });

  it('loads it by require, and gets the very module that import gives', async () => {
    const script = `
      const required = require('nestjs-download-auth');
      import('nestjs-download-auth').then((m) => console.log(m.DownloadAuthModule === required.DownloadAuthModule))`;
    expect(await node('-e', script)).toEqual({ code: 0, output: 'true\n' });
  });
});

interface Manifest {
  readonly exports: Record<string, { readonly types: string }>;
  readonly typesVersions: Record<string, Record<string, string[]>>;
  readonly dependencies: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
  readonly peerDependenciesMeta?: Record<string, unknown>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Names of the packages that a module and the modules of its own package require, Node's own left out. */
function packagesLoadedBy(entry: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const pending = [entry];
  for (let path = pending.pop(); path; path = pending.pop()) {
    if (seen.has(path)) {
      continue;
    }
    seen.add(path);
    const source = readFileSync(path, 'utf8');
    for (const [, specifier] of source.matchAll(/\brequire\("([^"]+)"\)/g)) {
      if (specifier!.startsWith('.')) {
        pending.push(join(dirname(path), specifier!));
      } else if (!isBuiltin(specifier!)) {
        packages.add(packageOf(specifier!));
      }
    }
  }
  return packages;
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') || builtinModules.includes(specifier);
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
