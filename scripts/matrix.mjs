/**
 * Runs the tests on other versions of Node and of Nest.
 *
 *     npm run test:matrix                        Node 20, 22, 24 and 26 with Nest 11 and 12
 *     npm run test:matrix -- --node 24           one version of Node; several with commas
 *     npm run test:matrix -- --nest 11           one version of Nest
 *     npm run test:matrix -- --cells 24:12,22:11 these pairs of Node and Nest only
 *     npm run test:matrix -- --full              also the tests that one run is enough for
 *
 * A cell `26:12:short` runs only the specs of what depends on Node itself. The Nodes come from the npm package
 * `node`. Cells with the Nest that is installed run in place, in turn; those with another Nest, beside them, in a
 * copy of the project in a temporary folder, so that neither the lockfile nor node_modules change. Prints what a
 * cell said when it is over, and exits with the number of cells that failed. Where TEST_REPORTS names a folder, the counts of each cell are written there
 * (test/support/reporters.ts).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Tests of programs, documents and outages rather than of what Node and Nest do: one run is enough. */
const ONCE = [
  'test/clients/**',
  'test/delivery/clients.spec.ts',
  'test/**/*.browser.spec.ts',
  'test/**/*.slow.spec.ts',
  'test/delivery/stall.spec.ts',
  'test/docs/**',
  'test/limits/silent-store.spec.ts',
  'test/limits/store-outage.spec.ts',
  'test/recipes/**',
  'test/sample-app/**',
  'test/swagger/clients.spec.ts',
];
/** What a short cell runs: streams, sockets, HTTP, crypto and SQLite, and one route of each kind. */
const SHORT = [
  'test/main-job',
  'test/handlers',
  'test/delivery/',
  'test/http/',
  'test/tokens/keys',
  'sqlite',
];

const NODES = ['20', '22', '24', '26'];
const NESTS = ['11', '12'];
const NOT_COPIED = new Set(['node_modules', 'dist', '.git', 'coverage']);
/** Of the Nest packages, those that follow a numbering of their own or are no part of what is tested. */
const NEST_TOOLS = new Set(['@nestjs/cli', '@nestjs/config', '@nestjs/schematics']);

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { values: chosen } = parseArgs({
  options: {
    node: { type: 'string' },
    nest: { type: 'string' },
    cells: { type: 'string' },
    full: { type: 'boolean', default: false },
  },
});

const [inPlace, inCopies] = [true, false].map((here) =>
  cells().filter(([, nest]) => isInstalled(nest) === here),
);
const outcomes = (await Promise.all([runInTurn(inPlace), runInTurn(inCopies)])).flat();
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

async function runInTurn(cells) {
  const outcomes = [];
  for (const [node, nest, kind] of cells) {
    const platform = platformOf(node, nest);
    console.log(`=== ${platform}: started`);
    const started = Date.now();
    const said = [];
    const ok = isInstalled(nest)
      ? await runTests({ folder: root, node, nest, kind, said })
      : await runInCopy({ node, nest, kind, said });
    console.log(`\n=== ${platform}\n${Buffer.concat(said)}`);
    outcomes.push({ platform, ok, seconds: Math.round((Date.now() - started) / 1000) });
  }
  return outcomes;
}

function platformOf(node, nest) {
  return `Node ${node}, Nest ${nest}`;
}

async function runInCopy(cell) {
  const folder = mkdtempSync(join(tmpdir(), 'matrix-'));
  const copy = { ...cell, folder };
  try {
    cpSync(root, folder, { recursive: true, filter: isCopied });
    return (
      (await run(copy, ['npm', 'ci', '--prefer-offline', '--loglevel=error'])) &&
      (await installNest(copy)) &&
      (await runTests(copy))
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isInstalled(nest) {
  return majorOf(manifest.devDependencies['@nestjs/core']) === nest;
}

function isCopied(path) {
  return !NOT_COPIED.has(path.slice(root.length).split('/', 1)[0]);
}

/** Replaces the installed Nest packages by those of another major version. */
function installNest(cell) {
  const packages = Object.entries(manifest.devDependencies)
    .filter(([name]) => name.startsWith('@nestjs/') && !NEST_TOOLS.has(name))
    .filter(([, range]) => majorOf(range) !== cell.nest)
    .map(([name]) => `${name}@${cell.nest}`);
  const options = ['--no-save', '--prefer-offline', '--loglevel=error'];
  return run(cell, ['npm', 'install', ...options, ...packages]);
}

function majorOf(range) {
  return /\d+/.exec(range)?.[0];
}

/** Both runs take place, whatever becomes of the first. */
async function runTests(cell) {
  const { node, nest, kind } = cell;
  const vitest = ['node', 'node_modules/vitest/vitest.mjs', 'run'];
  const env = { TEST_PLATFORM: platformOf(node, nest) };
  const exclude = chosen.full ? [] : ONCE.map((pattern) => `--exclude=${pattern}`);
  const tests = await run(cell, [...vitest, ...exclude, ...(kind === 'short' ? SHORT : [])], env);
  if (kind === 'short') return tests;
  const tarball = await run(
    cell,
    [...vitest, '--config=vitest.package.config.ts', ...packageTests(nest)],
    env,
  );
  return tests && tarball;
}

/** What compiles, and what builders and runners load, depends on the version of Nest only. */
function packageTests(nest) {
  if (chosen.full) return [];
  return isInstalled(nest)
    ? ['test/package/tarball.spec.ts']
    : [`--testNamePattern=^(?!with Nest (?!${nest}))`];
}

/** Runs a command with a version of Node first on the PATH, so that npm and what it starts run on it too. */
async function run({ folder, node, said }, command, env = {}) {
  const child = spawn('npx', ['-y', '--prefer-offline', '-p', `node@${node}`, '--', ...command], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
  const [code] = await once(child, 'close');
  if (code !== 0) said.push(Buffer.from(`failed: ${command.join(' ')}\n`));
  return code === 0;
}
