/**
 * Runs the tests on other versions of Node and of Nest.
 *
 *     npm run test:matrix                        Node 20, 22 and 24 with Nest 11 and 12, all but the slow
 *     tests npm run test:matrix -- --node 24           one version of Node; several with commas
 *     npm run test:matrix -- --nest 11           one version of Nest
 *     npm run test:matrix -- --cells 24:12,20:11 these pairs of Node and Nest only
 *     npm run test:matrix -- --full              the slow tests too
 *
 * Each pair runs in a copy of the project in a temporary folder, installed anew with that Node, so that
 * neither the lockfile nor node_modules of the project change. The Nodes come from the npm package `node`.
 * What counts as slow stands in SLOW below. Exits with the number of pairs that failed. Where TEST_REPORTS
 * names a folder, the counts of each pair are written there (see test/support/reporters.ts).
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Tests of programs and of endurance rather than of what Node and Nest do: enough to run them once. */
const SLOW = [
  'test/browser/**',
  'test/clients/**',
  'test/delivery/clients.spec.ts',
  'test/**/*.browser.spec.ts',
  'test/**/*.slow.spec.ts',
  'test/delivery/stall.spec.ts',
  'test/docs/**',
  'test/limits/silent-redis.spec.ts',
  'test/limits/store-outage.spec.ts',
  'test/recipes/**',
  'test/sample-app/**',
];

const NODES = ['20', '22', '24'];
const NESTS = ['11', '12'];
const NOT_COPIED = new Set(['node_modules', 'dist', '.git', 'coverage']);
/** Of the Nest packages, those that follow a numbering of their own or are no part of what is tested. */
const NEST_TOOLS = new Set(['@nestjs/cli', '@nestjs/config', '@nestjs/schematics']);

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: chosen } = parseArgs({
  options: {
    node: { type: 'string' },
    nest: { type: 'string' },
    cells: { type: 'string' },
    full: { type: 'boolean', default: false },
  },
});

const outcomes = cells().map(([node, nest]) => runCell(node, nest));
for (const { platform, ok, seconds } of outcomes) {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${platform} (${seconds} s)`);
}
process.exitCode = outcomes.filter(({ ok }) => !ok).length;

function cells() {
  if (chosen.cells) return chosen.cells.split(',').map((cell) => cell.split(':'));
  const nodes = chosen.node?.split(',') ?? NODES;
  const nests = chosen.nest?.split(',') ?? NESTS;
  return nests.flatMap((nest) => nodes.map((node) => [node, nest]));
}

function runCell(node, nest) {
  const platform = `Node ${node}, Nest ${nest}`;
  console.log(`\n=== ${platform}`);
  const started = Date.now();
  const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  try {
    cpSync(root, folder, { recursive: true, filter: isCopied });
    const ok =
      run(folder, node, ['npm', 'ci', '--prefer-offline', '--loglevel=error']) &&
      installNest(folder, node, nest) &&
      runTests(folder, node, platform);
    return { platform, ok, seconds: Math.round((Date.now() - started) / 1000) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isCopied(path) {
  return !NOT_COPIED.has(path.slice(root.length).split('/', 1)[0]);
}

/** Replaces the installed Nest packages by those of another major version. */
function installNest(folder, node, nest) {
  const { devDependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const packages = Object.entries(devDependencies)
    .filter(
      ([name, range]) => name.startsWith('@nestjs/') && !NEST_TOOLS.has(name) && majorOf(range) !== nest,
    )
    .map(([name]) => `${name}@${nest}`);
  if (packages.length === 0) return true;
  const options = ['--no-save', '--prefer-offline', '--loglevel=error'];
  return run(folder, node, ['npm', 'install', ...options, ...packages]);
}

function majorOf(range) {
  return /\d+/.exec(range)?.[0];
}

/** Both runs take place, whatever becomes of the first. */
function runTests(folder, node, platform) {
  const exclude = chosen.full ? [] : SLOW.map((pattern) => `--exclude=${pattern}`);
  const vitest = ['node', 'node_modules/vitest/vitest.mjs', 'run'];
  const env = { TEST_PLATFORM: platform };
  const tests = run(folder, node, [...vitest, ...exclude], env);
  const tarball = run(folder, node, [...vitest, '--config=vitest.package.config.ts'], env);
  return tests && tarball;
}

/** Runs a command with a version of Node first on the PATH, so that npm and what it starts run on it too. */
function run(cwd, node, command, env = {}) {
  const { status } = spawnSync('npx', ['-y', '--prefer-offline', '-p', `node@${node}`, '--', ...command], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) console.error(`failed: ${command.join(' ')}`);
  return status === 0;
}
