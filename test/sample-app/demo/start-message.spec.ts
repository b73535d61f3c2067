import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { shellCommands, startMessage } from '../../../sample-app/demo/start-message.js';
import { describeSample, temporaryFolder } from '../support/sample.js';

const run = promisify(execFile);
const hasTools = ['bash', 'curl', 'sed'].every((tool) => spawnSync(tool, ['--version']).status === 0);

const FILE = "Ada's $HOME, 100% größer!.txt";
const folder = temporaryFolder({ [FILE]: 'what was asked for' });

describeSample(folder, (sample) => {
  it.skipIf(!hasTools).each([
    ['header', 0],
    ['cookie', 1],
    ['link', 2],
  ])('prints commands that save a file by %s', async (_way, index) => {
    const target = mkdtempSync(join(tmpdir(), 'sample-curl-'));
    try {
      const commands = shellCommands(sample.url, FILE, target);
      expect(startMessage(sample.url, folder, { kind: 'memory' }, commands)).toContain(commands.join('\n'));
      const chosen = commands.filter((line) => line.startsWith('curl '))[index]!;
      const others = commands.filter((line) => !line.startsWith('curl '));
      await run('bash', ['-c', [...others, chosen].join('\n')]);
      const [saved] = readdirSync(target);
      expect(readFileSync(join(target, saved!), 'utf8')).toBe('what was asked for');
    } finally {
      rmSync(target, { recursive: true });
    }
  });
});

it('prints the address and the demo users', () => {
  const message = startMessage('http://127.0.0.1:3000', '/srv/files', { kind: 'memory' }, []);
  expect(message).toContain('http://127.0.0.1:3000');
  expect(message).toMatch(/ada \/ demo {3}grace \/ demo/);
});

it('prints what instances that share links need in common, but no password', () => {
  for (const [kind, url, name, variable] of [
    ['redis', 'redis://user:hunter2@db.example:6379/1', 'Redis', 'REDIS_URL'],
    ['postgres', 'postgres://user:hunter2@db.example:6379/files', 'PostgreSQL', 'DATABASE_URL'],
  ] as const) {
    const message = startMessage('http://127.0.0.1:3000', '/srv/files', { kind, url }, []);
    expect(message).toContain(`in ${name} at db.example:6379`);
    expect(message).toContain(`the same ${variable} and JWT_SECRET`);
    expect(message).not.toContain('hunter2');
  }
  const file = { kind: 'sqlite', file: '/var/lib/links.db' } as const;
  expect(startMessage('http://127.0.0.1:3000', '/srv/files', file, [])).toContain('/var/lib/links.db');
});
