import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTP_ADAPTERS } from '../../sample-app/settings/sample-settings.js';
import { shellExamples, startMessage } from '../../sample-app/start-message.js';
import { type RunningSample, startSample } from './support/sample.js';

const run = promisify(execFile);
const hasTools = ['bash', 'curl', 'sed'].every((tool) => spawnSync(tool, ['--version']).status === 0);

const FILE = "Ada's $HOME, 100% größer!.txt";
const folder = mkdtempSync(join(tmpdir(), 'sample-curl-'));
writeFileSync(join(folder, FILE), 'what was asked for');
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!hasTools).each(HTTP_ADAPTERS)(
  'the lines that are printed at the start (bash, curl and sed needed) work as they are on %s',
  (adapter) => {
    let sample: RunningSample;
    let target: string;
    beforeAll(async () => {
      sample = await startSample(adapter, folder);
      target = mkdtempSync(join(tmpdir(), 'sample-curl-target-'));
    });
    afterAll(async () => {
      await sample.close();
      rmSync(target, { recursive: true });
    });

    test.each([0, 1, 2])('line %i', async (index) => {
      const examples = shellExamples(sample.url, FILE, target);
      const printed = startMessage(sample.url, folder, { kind: 'memory' }, examples).split('\n');
      const lines = printed.filter((line) => line.startsWith('curl '));
      expect(lines).toHaveLength(3);
      await run('bash', ['-c', lines[index]!]);
      const [saved] = readdirSync(target);
      expect(readFileSync(join(target, saved!), 'utf8')).toBe('what was asked for');
      rmSync(join(target, saved!));
    });
  },
);

test('the message names the address and the demo users', () => {
  const message = startMessage('http://127.0.0.1:3000', '/srv/files', { kind: 'memory' }, []);
  expect(message).toContain('http://127.0.0.1:3000');
  expect(message).toMatch(/ada \/ demo {3}grace \/ demo/);
});

test('the message says what instances that share links have to have in common, and no password', () => {
  const storage = { kind: 'redis', url: 'redis://user:hunter2@redis.example:6379/1' } as const;
  const message = startMessage('http://127.0.0.1:3000', '/srv/files', storage, []);
  expect(message).toContain('in Redis at redis.example:6379');
  expect(message).toContain('the same REDIS_URL and JWT_SECRET');
  expect(message).not.toContain('hunter2');
  const file = { kind: 'sqlite', file: '/var/lib/links.db' } as const;
  expect(startMessage('http://127.0.0.1:3000', '/srv/files', file, [])).toContain('/var/lib/links.db');
});
