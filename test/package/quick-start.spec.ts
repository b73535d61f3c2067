import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import ts from 'typescript';
import { expect, inject, it } from 'vitest';
import { ADDED_LINES, COMMANDS, quickStart } from '../docs/support/quick-start.js';
import { run } from './support.js';

it('the quick start of README.md has at most five commands and ten lines of code', () => {
  expect(COMMANDS).toHaveLength(5);
  expect(ADDED_LINES).toHaveLength(10);
});

it('whoever follows the quick start of README.md downloads a file by a link', async () => {
  const { folder } = inject('project');
  const project = join(folder, 'quick-start');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(join(project, 'README.md'), 'the file');
  for (const [name, text] of Object.entries(quickStart())) {
    writeFileSync(join(project, name.replace(/^src\/(.*)ts$/, '$1js')), compiled(text));
  }
  const key = await run(folder, join(folder, 'node_modules/.bin/nestjs-download-auth'), ['key']);
  const env = { ...process.env, PORT: '0', LINK_SECRET: key.output.trim() };
  const server = spawn(process.execPath, ['main.js'], {
    cwd: project,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await linkPrintedBy(server.stdout);
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([200, 'the file']);
    expect(answer.headers.get('content-disposition')).toContain('A private file.md');
    expect((await fetch(url.replace(/\?.*/, ''))).status).toBe(403);
  } finally {
    server.kill();
    await once(server, 'exit');
  }
});

/** Types are checked by test/docs. */
function compiled(text: string): string {
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2023,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
  };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}

async function linkPrintedBy(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(output)) {
    if (line.startsWith('http')) {
      return line;
    }
  }
  throw new Error('The application ended without printing a link.');
}
