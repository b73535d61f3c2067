import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CONSUMER = fileURLToPath(new URL('./consumer', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** What an application that uses the package has installed beside it. */
const CONSUMER_DEPENDENCIES = [
  '@nestjs/common',
  '@nestjs/core',
  '@nestjs/passport',
  '@nestjs/platform-express',
  '@types/node',
  'passport',
  'reflect-metadata',
  'rxjs',
];

interface Outcome {
  readonly code: number;
  readonly output: string;
}

interface PackedFile {
  readonly path: string;
}

/** An empty project with the packed tarball installed, as a user's project would have it. */
export interface ConsumerProject {
  readonly folder: string;
  /** Where the package lies in it. */
  readonly installed: string;
  /** Paths of the tarball's files. */
  readonly files: readonly string[];
  /** Runs a file of the project with Node. */
  node(...args: string[]): Promise<Outcome>;
  /** Makes a folder with the consumer's sources, its package.json `type` and its compiler options. */
  prepare(name: string, type: 'module' | 'commonjs', compilerOptions: object): void;
  compile(name: string): Promise<Outcome>;
  remove(): void;
}

/**
 * Packs the package (which builds it) and installs it with its peers in the versions that are tested here.
 */
export async function installTarball(): Promise<ConsumerProject> {
  const folder = mkdtempSync(join(tmpdir(), 'consumer-'));
  const packed = await packInto(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }));
  const versions = CONSUMER_DEPENDENCIES.map((name) => `${name}@${versionOf(name)}`);
  await npm(folder, 'install', '--prefer-offline', '--no-audit', `./${packed.filename}`, ...versions);

  return {
    folder,
    installed: join(folder, 'node_modules/nestjs-download-auth'),
    files: packed.files.map(({ path }) => path),
    node: (...args) => run(folder, process.execPath, args),
    prepare(name, type, compilerOptions) {
      const target = join(folder, name);
      mkdirSync(target);
      cpSync(CONSUMER, target, { recursive: true });
      writeFileSync(join(target, 'package.json'), JSON.stringify({ type }));
      writeFileSync(
        join(target, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            target: 'es2022',
            lib: ['es2023'],
            types: ['node'],
            strict: true,
            skipLibCheck: false,
            experimentalDecorators: true,
            emitDecoratorMetadata: true,
            outDir: 'out',
            rootDir: '.',
            ...compilerOptions,
          },
        }),
      );
    },
    compile: (name) => run(join(folder, name), process.execPath, [TSC, '--pretty', 'false']),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Packs the package, which builds it. */
export async function packInto(folder: string): Promise<{ filename: string; files: PackedFile[] }> {
  const args = [
    'pack',
    '--json',
    '--loglevel=error',
    '--foreground-scripts=false',
    '--pack-destination',
    folder,
  ];
  const [packed] = JSON.parse(await npm(ROOT, ...args)) as [{ filename: string; files: PackedFile[] }];
  return packed;
}

function versionOf(name: string): string {
  const manifest = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

export async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { code, output } = await run(cwd, npmPath(), args);
  if (code !== 0) {
    throw new Error(`npm ${args.join(' ')}\n${output}`);
  }
  return output;
}

/** npm on the PATH; a Node that was itself run through npm has none beside it. */
function npmPath(): string {
  const beside = join(dirname(process.execPath), 'npm');
  return existsSync(beside) ? beside : 'npm';
}

export function run(cwd: string, file: string, args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const { NODE_OPTIONS: _options, NODE_ENV: _env, ...env } = process.env;
    execFile(file, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      // a command that failed is told by what it said, one that worked by its answer
      resolve(
        error ? { code: Number(error.code) || 1, output: stdout + stderr } : { code: 0, output: stdout },
      );
    });
  });
}
