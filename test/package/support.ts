import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Outcome {
  readonly code: number;
  readonly output: string;
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
