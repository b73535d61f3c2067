import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache');

/**
 * The folder of the library as plain modules, for processes that no test runner compiles for. It is compiled
 * once and kept until its sources change.
 */
export function compiledLibrary(): string {
  const lib = join(ROOT, 'lib');
  const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' }).map((name) => {
    const { mtimeMs, size } = statSync(join(lib, name));
    return `${name} ${mtimeMs} ${size}`;
  });
  const name = `library-${hash('sha256', sources.join('\n')).slice(0, 16)}`;
  const folder = join(CACHE, name);
  if (!existsSync(folder)) {
    compileTo(folder);
    removeOthers(name);
  }
  return folder;
}

/** Another worker may be compiling, too: the folder appears whole or not at all. */
function compileTo(folder: string): void {
  mkdirSync(CACHE, { recursive: true });
  const temporary = mkdtempSync(join(CACHE, 'compiling-'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = ['-p', 'tsconfig.build.json', '--outDir', temporary, '--declaration', 'false', '--noCheck'];
  execFileSync(process.execPath, [tsc, ...options], { cwd: ROOT });
  writeFileSync(join(temporary, 'package.json'), '{ "type": "commonjs", "main": "index.js" }');
  try {
    renameSync(temporary, folder);
  } catch {
    rmSync(temporary, { recursive: true });
  }
}

const HOUR = 60 * 60 * 1000;

/** Those of earlier sources, unless another run may be using them. */
function removeOthers(name: string): void {
  for (const other of readdirSync(CACHE).filter((one) => one.startsWith('library-') && one !== name)) {
    const folder = join(CACHE, other);
    if (Date.now() - statSync(folder).mtimeMs > HOUR) {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
