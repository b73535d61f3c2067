import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { FileStorage } from '@flystorage/file-storage';
import { LocalStorageAdapter } from '@flystorage/local-fs';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { textOf } from '../docs/support/pages.js';
import { hasPostgres, PostgresServer } from '../leases/support/postgres-server.js';
import { pattern, temporaryFolder } from '../support/files.js';
import { startLimitedApp } from '../support/limited-app.js';
import type { LimitedApp } from '../support/limited-app.js';
import { connect } from '../support/raw-connection.js';
import { ADAPTERS } from '../support/test-app.js';
import { until } from '../support/until.js';
import { Attachments } from './support/attachments.js';
import { Reports } from './support/reports.js';
import { StoredFiles } from './support/stored-files.js';

const BYTES = pattern(6 * 1024 * 1024 + 7);
const folder = temporaryFolder();
const cleanUps: (() => unknown)[] = [() => folder.remove()];
afterAll(async () => {
  for (const step of cleanUps.reverse()) {
    await step();
  }
});

/** An S3-compatible server, and what the SDK reads from the environment. */
async function s3(): Promise<(name: string) => unknown> {
  // It has no types
  const name: string = '@20minutes/s3rver';
  const { default: S3rver } = (await import(name)) as { default: any };
  const server = new S3rver({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory: folder.path },
    configureBuckets: [{ name: 'reports' }],
  });
  const { port } = (await server.run()) as AddressInfo;
  const env = {
    AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'S3RVER',
    AWS_SECRET_ACCESS_KEY: 'S3RVER',
  };
  Object.assign(process.env, env);
  cleanUps.push(() => server.close());
  cleanUps.push(() => Object.keys(env).forEach((name) => delete process.env[name]));
  const client = new S3Client({ requestChecksumCalculation: 'WHEN_REQUIRED' });
  await client.send(new PutObjectCommand({ Bucket: 'reports', Key: 'a.bin', Body: BYTES }));
  client.destroy();
  const reports = new Reports();
  await reports.open('a.bin');
  return (name) => reports.open(name);
}

function flystorage(): (name: string) => unknown {
  folder.file('a.bin', BYTES);
  const files = new StoredFiles(new FileStorage(new LocalStorageAdapter(folder.path)));
  return (name) => files.open(name);
}

async function postgres(): Promise<(name: string) => unknown> {
  const server = await PostgresServer.start();
  const pool = new pg.Pool({ connectionString: server.url() });
  pool.on('error', () => {});
  cleanUps.push(() => server.remove());
  cleanUps.push(() => pool.end());
  await pool.query('CREATE TABLE attachments (id text PRIMARY KEY, name text, sha256 text, bytes bytea)');
  await pool.query('ALTER TABLE attachments ALTER bytes SET STORAGE EXTERNAL');
  const sha256 = createHash('sha256').update(BYTES).digest('hex');
  await pool.query('INSERT INTO attachments VALUES ($1, $1, $2, $3)', ['a.bin', sha256, BYTES]);
  const attachments = new Attachments(pool);
  return (name) => attachments.open(name);
}

it.each(['reports', 'attachments', 'stored-files'])(
  'the recipe in the docs is the one tested here: %s',
  (name) => {
    const code = readFileSync(new URL(`./support/${name}.ts`, import.meta.url), 'utf8');
    expect(textOf('docs/recipes.md')).toContain(
      `\`\`\`ts\n${code.slice(code.indexOf('@Injectable()'))}\`\`\`\n`,
    );
  },
);

describe.each([
  ['S3', true, s3],
  ['flystorage', true, flystorage],
  ['a bytea of PostgreSQL', hasPostgres, postgres],
] as const)('a file in %s', (_storage, available, start) => {
  let open: (name: string) => unknown;
  beforeAll(async () => {
    open = available ? await start() : () => undefined;
  }, 60_000);

  describe.skipIf(!available).each(ADAPTERS)('on %s', (adapter) => {
    let app: LimitedApp;
    beforeAll(async () => {
      app = await startLimitedApp(adapter, { contents: { 'a.bin': () => open('a.bin') } });
    });
    afterAll(() => app.close());

    it('is sent whole, in parts, to HEAD without its bytes, and not to a client that has it', async () => {
      const link = app.link('a.bin');
      const whole = await app.fetch(link);
      expect([whole.status, whole.body.equals(BYTES)]).toEqual([200, true]);
      const { etag } = whole.headers as { etag: string };
      const head = await app.fetch(link, { method: 'HEAD' });
      expect([head.status, head.headers['content-length']]).toEqual([200, String(BYTES.length)]);
      const range = { range: 'bytes=3000000-6000000', 'if-range': etag };
      const part = await app.fetch(link, { headers: range });
      expect([part.status, part.body.equals(BYTES.subarray(3_000_000, 6_000_001))]).toEqual([206, true]);
      expect((await app.fetch(link, { headers: { 'if-none-match': etag } })).status).toBe(304);
    });

    it('is no longer read when the client has left, and can be resumed', async () => {
      const link = app.link('a.bin');
      const path = link.url.slice(app.url.length);
      const socket = await connect(app.port, `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      socket.pause();
      await until(() => app.events.some(({ type, linkId }: any) => type === 'opened' && linkId === link.id), 'it to open');
      socket.destroy();
      const ended = () => app.events.find(({ type, linkId }: any) => type === 'aborted' && linkId === link.id);
      await until(() => ended() !== undefined, 'it to end');
      const rest = await app.fetch(link, { headers: { range: 'bytes=6000000-' } });
      expect(rest.body.equals(BYTES.subarray(6_000_000))).toBe(true);
    });
  });
}); // prettier-ignore
