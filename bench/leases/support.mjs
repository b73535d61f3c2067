// What the measurements share: the compiled library, servers of their own, medians.
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const cleanUps = [];

export async function cleanUp() {
  for (const step of cleanUps.splice(0).reverse()) {
    await step();
  }
}

/**
 * Compiles `lib/`, of an earlier commit if one is given, and answers a function that imports from it; `folder` is where
 * it is.
 */
export function compile(commit) {
  const cache = join(ROOT, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'bench-'));
  cleanUps.push(() => rmSync(folder, { recursive: true, force: true }));
  const source = commit ? join(folder, 'source') : ROOT;
  if (commit) {
    mkdirSync(source);
    const archive = execFileSync('git', ['archive', commit, 'lib', ...readable(commit)], {
      cwd: ROOT,
      maxBuffer: 1e8,
    });
    execFileSync('tar', ['-x', '-C', source], { input: archive });
  }
  const out = join(folder, 'dist');
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = ['-p', 'tsconfig.build.json', '--outDir', out, '--declaration', 'false', '--noCheck'];
  execFileSync(process.execPath, [tsc, ...options], { cwd: source });
  const load = (path) => import(pathToFileURL(join(out, path)).href);
  return Object.assign(load, { folder: out });
}

function readable(commit) {
  const listed = execFileSync('git', ['ls-tree', '--name-only', commit], { cwd: ROOT, encoding: 'utf8' });
  return listed.split('\n').filter((name) => /^(tsconfig.*|package)\.json$/.test(name));
}

export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'leases-bench-'));
  cleanUps.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The URL of a PostgreSQL server of this bench, with the settings of the package; undefined without one. */
export async function postgres() {
  const folder = '/usr/lib/postgresql';
  const version = existsSync(folder) && readdirSync(folder).at(-1);
  if (!version) {
    console.log('PostgreSQL: not measured, it is not installed');
    return undefined;
  }
  const program = (name) => join(folder, version, 'bin', name);
  const data = temporaryFolder();
  // PostgreSQL refuses to run as root
  const [, , uid, gid] = /^nobody:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))[0].split(':').map(Number);
  const user = process.getuid() === 0 ? { uid, gid } : {};
  if (user.uid) {
    chownSync(data, uid, gid);
  }
  execFileSync(program('initdb'), ['-D', data, '--username=bench', '--auth=trust'], {
    ...user,
    stdio: 'pipe',
  });
  const port = await freePort();
  const args = ['-D', data, '-k', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1'];
  const server = spawn(program('postgres'), args, { ...user, stdio: ['ignore', 'ignore', 'pipe'] });
  await new Promise((resolve) =>
    server.stderr.on('data', (chunk) => /ready to accept/.test(String(chunk)) && resolve()),
  );
  cleanUps.push(() => {
    server.kill('SIGINT');
    return new Promise((resolve) => server.once('exit', resolve));
  });
  return `postgres://bench@127.0.0.1:${port}/postgres`;
}

function freePort() {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** The URL of a server on a free loopback port, or undefined where none is installed. */
export async function redis() {
  const port = await freePort();
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--dir', temporaryFolder()];
  const server = spawn('redis-server', args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  const started = await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.stdout.on('data', (chunk) => /Ready to accept/.test(String(chunk)) && resolve(true));
  });
  if (!started) {
    console.log('Redis: not measured, redis-server is not installed');
    return undefined;
  }
  cleanUps.push(() => server.kill());
  return `redis://127.0.0.1:${port}`;
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
