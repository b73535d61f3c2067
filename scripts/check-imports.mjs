/**
 * Holds the imports of lib/ to ARCHITECTURE.md: a room imports only from rooms below it, and files never
 * import one another in a circle. Imports of types count too. Prints what is wrong and exits with 1.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/**
 * From the top of the house to its ground; the files directly in lib/ ('') are the shell and may import every
 * room below.
 */
const ROOMS = [
  'swagger',
  '',
  'links',
  'prompts',
  'leases',
  'tokens',
  'delivery',
  'events',
  'refusals',
  'http',
  'shared',
  'client',
];

const root = process.argv[2] ?? fileURLToPath(new URL('../lib', import.meta.url));
const files = ts.sys.readDirectory(root, ['.ts', '.mts']).map((file) => relative(root, file));
const imports = new Map(files.map((file) => [file, importsOf(file)]));

const problems = [...upwardImports(), ...circles().map((circle) => `circle: ${circle.join(' -> ')}`)];
problems.forEach((problem) => console.error(problem));
process.exitCode = problems.length > 0 ? 1 : 0;

function importsOf(file) {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true);
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => relative(root, resolve(root, dirname(file), name.replace(/\.js$/, '.ts'))));
}

function upwardImports() {
  return files.flatMap((file) => {
    const level = levelOf(file);
    if (level === -1) return [`${file}: its folder is not one of ${ROOMS.filter(Boolean).join(', ')}`];
    return imports
      .get(file)
      .filter((target) => levelOf(target) < level)
      .map((target) => `upward: ${file} -> ${target}`);
  });
}

function levelOf(file) {
  return ROOMS.indexOf(file.includes('/') ? file.slice(0, file.indexOf('/')) : '');
}

/** Each circle once, found by walking the imports depth first. */
function circles() {
  const found = [];
  const done = new Set();
  const path = [];
  const visit = (file) => {
    if (path.includes(file)) {
      found.push([...path.slice(path.indexOf(file)), file]);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    imports.get(file)?.forEach(visit);
    path.pop();
    done.add(file);
  };
  files.forEach(visit);
  return found;
}
