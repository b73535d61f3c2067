import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { NEST_NEW, specOf, TSCONFIG } from './runner-project.js';
import { npm, run } from './support.js';

/** Of the package's optional peers only what the tests of stores need. */
const INSTALLED = [
  'passport@0.7',
  'reflect-metadata@0.2',
  'rxjs@7',
  'ioredis@5',
  'pg@8',
  'typescript@5.9',
  '@types/node@24',
  '@types/jest@30',
];
const BUNDLER_TOOLS = [
  ...['ts-loader@9', 'webpack-node-externals@3'],
  ...['tsconfig-paths-webpack-plugin@4', 'fork-ts-checker-webpack-plugin@9'],
];
const WEBPACK_TOOLS = ['webpack@5', ...BUNDLER_TOOLS];
const JEST_TOOLS = ['jest@30', 'ts-jest@29'];
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
  /** The Nest with which it runs when not all consumers do. */
  readonly alwaysWith?: '11' | '12';
  /** What has to be installed beside Nest. */
  readonly tools?: (nest: string) => readonly string[];
  /** Arguments of Node, one command after the other; the last one downloads. */
  readonly commands: readonly string[][];
  /** Whether the last command runs tests, instead of an application that says what it downloaded. */
  readonly tests?: boolean;
  readonly files?: Readonly<Record<string, string>>;
  readonly needs?: (nest: string) => boolean;
}

const APPLICATION = ['dist/main.js'];
const CONSUMERS: readonly Consumer[] = [
  ...(['module', 'commonjs'] as const).flatMap((type): Consumer[] => {
    const alwaysWith = type === 'module' ? '12' : undefined;
    return [
      { name: 'tsc', type, commands: [nestBuild(), APPLICATION] },
      {
        ...{ name: 'SWC', type, alwaysWith },
        // as `nest new` has it
        tools: (nest) => ['@swc/core@1', nest === '11' ? '@swc/cli@0.6' : '@swc/cli@0.8'],
        commands: [nestBuild('--builder', 'swc'), APPLICATION],
        // Nest 11 has SWC write CommonJS
        needs: (nest) => nest === '12' || type === 'commonjs',
      },
      {
        ...{ name: 'an esbuild bundle', type, alwaysWith },
        tools: () => ['esbuild@0.28'],
        commands: [['esbuild.cjs', type === 'module' ? 'esm' : 'cjs'], APPLICATION],
        files: { 'esbuild.cjs': ESBUILD },
      },
      {
        ...{ name: 'Vitest', type, alwaysWith, tests: true },
        tools: () => ['vitest@4'],
        commands: [['node_modules/vitest/vitest.mjs', 'run', '--globals']],
      },
      {
        ...{ name: 'node:test', type, alwaysWith, tests: true },
        commands: [nestBuild(), ['--test', 'dist/files.spec.js']],
        files: { 'src/files.spec.ts': specOf("import { it } from 'node:test';") },
      },
    ];
  }),
  {
    ...{ name: 'webpack', type: 'commonjs', alwaysWith: '12' },
    tools: () => WEBPACK_TOOLS,
    commands: [nestBuild('--builder', 'webpack'), APPLICATION],
  },
  {
    ...{ name: 'rspack', type: 'commonjs' },
    tools: () => ['@rspack/core@2', ...BUNDLER_TOOLS],
    commands: [nestBuild('--builder', 'rspack'), APPLICATION],
    needs: (nest) => nest === '12',
  },
  {
    ...{ name: 'webpack, dependencies in the bundle', type: 'commonjs' },
    tools: () => WEBPACK_TOOLS,
    commands: [nestBuild('--builder', 'webpack', '--webpackPath', 'webpack.config.js'), APPLICATION],
    files: { 'webpack.config.js': WEBPACK },
  },
  {
    ...{ name: 'Jest', type: 'commonjs', alwaysWith: '11', tests: true },
    tools: () => JEST_TOOLS,
    commands: [JEST],
    // Nest 12 is ES modules, which Jest cannot load without a flag
    needs: (nest) => nest === '11',
  },
  {
    ...{ name: 'Jest with --experimental-vm-modules', type: 'commonjs', tests: true },
    tools: () => JEST_TOOLS,
    commands: [['--experimental-vm-modules', ...JEST]],
    needs: (nest) => nest === '12' && (major > 24 || (major === 24 && minor >= 9)),
  },
];

describe.concurrent.each(['11', '12'])('with Nest %s', (nest) => {
  const consumers = CONSUMERS.filter(({ alwaysWith, needs }) =>
    inject('everyConsumer') ? (needs?.(nest) ?? true) : alwaysWith === nest,
  );
  const folder = mkdtempSync(join(tmpdir(), `consumers-${nest}-`));
  beforeAll(async () => {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
    const tools = new Set(consumers.flatMap(({ tools }) => tools?.(nest) ?? []));
    const packages = [...NEST.map((name) => `@nestjs/${name}@${nest}`), ...INSTALLED, ...tools];
    await npm(folder, 'install', '--prefer-offline', '--no-audit', inject('project').tarball, ...packages);
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(consumers.map((consumer) => [consumer.name, consumer.type, consumer] as const))(
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

  it.runIf(inject('everyConsumer'))(
    'an application downloads from the strict node_modules of pnpm',
    async () => {
      const project = makeProject(join(folder, 'pnpm'), 'commonjs');
      rmSync(join(project, 'node_modules'));
      const packages = [...NEST.map((name) => `@nestjs/${name}@${nest}`), ...INSTALLED];
      const add = ['-y', 'pnpm@10', 'add', '--prefer-offline', inject('project').tarball, ...packages];
      expect(await run(project, 'npx', add)).toEqual({ code: 0, output: expect.any(String) });
      expect(await run(project, process.execPath, ['node_modules/typescript/bin/tsc'])).toEqual({
        code: 0,
        output: '',
      });
      expect(await run(project, process.execPath, APPLICATION)).toEqual({ code: 0, output: DOWNLOADS });
    },
    300_000,
  );
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
