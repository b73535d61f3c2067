import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { NEST_NEW, specOf, TSCONFIG } from './runner-project.js';
import { npm, run } from './support.js';

/** Of the package's optional peers only what the tests of stores need. */
const TOOLS = [
  ...[
    'passport@0.7',
    'reflect-metadata@0.2',
    'rxjs@7',
    'ioredis@5',
    'pg@8',
    'typescript@5.9',
    '@types/node@24',
  ],
  ...[
    'webpack@5',
    'ts-loader@9',
    'webpack-node-externals@3',
    'tsconfig-paths-webpack-plugin@4',
    'esbuild@0.28',
  ],
  ...['fork-ts-checker-webpack-plugin@9', '@rspack/core@2', '@swc/core@1'],
  ...['jest@30', 'ts-jest@29', '@types/jest@30', 'vitest@4'],
];
/** The version that `nest new` writes. */
const SWC: Readonly<Record<string, string>> = { 11: '@swc/cli@0.6', 12: '@swc/cli@0.8' };
const PNPM = [
  'passport@0.7',
  'reflect-metadata@0.2',
  'rxjs@7',
  'typescript@5.9',
  '@types/node@24',
  '@types/jest@30',
];
const NEST = ['cli', 'common', 'core', 'passport', 'platform-express', 'testing'];
const APP = fileURLToPath(new URL('./consumer/app.ts', import.meta.url));
const DOWNLOADS = '401 TOKEN_MISSING\n200 the file\n200 the file\n/files/42?ss-tok=REDACTED\n';
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/** Parts of Nest that are optional, and that a bundle must not look for. */
const OPTIONAL = ['@nestjs/microservices', '@nestjs/websockets', 'class-transformer', 'class-validator'];
const WEBPACK = `
const { IgnorePlugin } = require('webpack');
const optional = new IgnorePlugin({ resourceRegExp: new RegExp('^(${OPTIONAL.join('|')})') });
module.exports = (options) => ({ ...options, externals: [], plugins: [...options.plugins, optional] });
`;
/** The banner is for CommonJS in an ES module, which has no `require`. */
const ESBUILD = `
const format = process.argv[2];
const { warnings } = require('esbuild').buildSync({
  ...{ entryPoints: ['src/main.ts'], outfile: 'dist/main.js', bundle: true, platform: 'node', format },
  external: ${JSON.stringify(OPTIONAL)}.flatMap((name) => [name, name + '/*']),
  banner: format === 'cjs' ? {} : {
    js: "import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url);",
  },
});
process.exitCode = warnings.length;
`;

const nestBuild = (...args: string[]) => ['node_modules/@nestjs/cli/bin/nest.js', 'build', ...args];
const JEST = ['node_modules/jest/bin/jest.js', '-c', 'jest.json', '--no-cache', '--forceExit'];

interface Consumer {
  readonly name: string;
  readonly type: 'module' | 'commonjs';
  /** Arguments of Node, one command after the other; the last one downloads. */
  readonly commands: readonly string[][];
  /** Whether the last command runs tests, instead of an application that says what it downloaded. */
  readonly tests?: boolean;
  readonly files?: Readonly<Record<string, string>>;
  readonly needs?: (nest: string) => boolean;
}

const APPLICATION = ['dist/main.js'];
const CONSUMERS: readonly Consumer[] = [
  ...(['module', 'commonjs'] as const).flatMap((type): Consumer[] => [
    { name: 'tsc', type, commands: [nestBuild(), APPLICATION] },
    {
      name: 'SWC',
      type,
      commands: [nestBuild('--builder', 'swc'), APPLICATION],
      // Nest 11 has SWC write CommonJS
      needs: (nest) => nest === '12' || type === 'commonjs',
    },
    {
      name: 'an esbuild bundle',
      type,
      commands: [['esbuild.cjs', type === 'module' ? 'esm' : 'cjs'], APPLICATION],
      files: { 'esbuild.cjs': ESBUILD },
    },
    { name: 'Vitest', type, tests: true, commands: [['node_modules/vitest/vitest.mjs', 'run', '--globals']] },
    {
      name: 'node:test',
      type,
      tests: true,
      commands: [nestBuild(), ['--test', 'dist/files.spec.js']],
      files: { 'src/files.spec.ts': specOf("import { it } from 'node:test';") },
    },
  ]),
  { name: 'webpack', type: 'commonjs', commands: [nestBuild('--builder', 'webpack'), APPLICATION] },
  {
    name: 'rspack',
    type: 'commonjs',
    commands: [nestBuild('--builder', 'rspack'), APPLICATION],
    needs: (nest) => nest === '12',
  },
  {
    name: 'webpack, dependencies in the bundle',
    type: 'commonjs',
    commands: [nestBuild('--builder', 'webpack', '--webpackPath', 'webpack.config.js'), APPLICATION],
    files: { 'webpack.config.js': WEBPACK },
  },
  {
    name: 'Jest',
    type: 'commonjs',
    tests: true,
    commands: [JEST],
    // Nest 12 is ES modules, which Jest cannot load without a flag
    needs: (nest) => nest === '11',
  },
  {
    name: 'Jest with --experimental-vm-modules',
    type: 'commonjs',
    tests: true,
    commands: [['--experimental-vm-modules', ...JEST]],
    needs: (nest) => nest === '12' && (major > 24 || (major === 24 && minor >= 9)),
  },
];

describe.each(['11', '12'])('with Nest %s', (nest) => {
  const folder = mkdtempSync(join(tmpdir(), `consumers-${nest}-`));
  beforeAll(async () => {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
    const packages = [...NEST.map((name) => `@nestjs/${name}@${nest}`), SWC[nest]!, ...TOOLS];
    await npm(folder, 'install', '--prefer-offline', '--no-audit', inject('project').tarball, ...packages);
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const fitting = CONSUMERS.filter(({ needs }) => needs?.(nest) ?? true);
  it.each(fitting.map((consumer) => [consumer.name, consumer.type, consumer] as const))(
    'an application downloads by %s, as %s',
    async (name, type, { commands, tests, files }) => {
      const project = makeProject(join(folder, `${name} ${type}`), type, files);
      const last = commands.at(-1)!;
      for (const command of commands.slice(0, -1)) {
        expect(await run(project, process.execPath, command)).toEqual({
          code: 0,
          output: expect.any(String),
        });
      }
      const output = tests ? expect.any(String) : DOWNLOADS;
      expect(await run(project, process.execPath, last)).toEqual({ code: 0, output });
    },
    300_000,
  );

  it('an application downloads from the strict node_modules of pnpm', async () => {
    const project = makeProject(join(folder, 'pnpm'), 'commonjs');
    rmSync(join(project, 'node_modules'));
    const packages = [...NEST.map((name) => `@nestjs/${name}@${nest}`), ...PNPM];
    const add = ['-y', 'pnpm@10', 'add', '--prefer-offline', inject('project').tarball, ...packages];
    expect(await run(project, 'npx', add)).toEqual({ code: 0, output: expect.any(String) });
    expect(await run(project, process.execPath, ['node_modules/typescript/bin/tsc'])).toEqual({
      code: 0,
      output: '',
    });
    expect(await run(project, process.execPath, APPLICATION)).toEqual({ code: 0, output: DOWNLOADS });
  }, 300_000);
});

/** A project as `nest new` makes it, with an application and a test. */
function makeProject(folder: string, type: string, files: Consumer['files'] = {}): string {
  const compilerOptions = { ...TSCONFIG, outDir: './dist' };
  const all = {
    'package.json': JSON.stringify({ private: true, type }),
    'tsconfig.json': JSON.stringify({ compilerOptions, include: ['src'] }),
    'nest-cli.json': JSON.stringify({ sourceRoot: 'src' }),
    'jest.json': JSON.stringify(NEST_NEW),
    'src/files.spec.ts': specOf(),
    ...files,
  };
  for (const [name, content] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  cpSync(APP, join(folder, 'src/main.ts'));
  symlinkSync('../node_modules', join(folder, 'node_modules'));
  return folder;
}
