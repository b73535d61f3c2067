import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const OPTIONAL = ['ioredis', 'iovalkey', 'redis', 'pg', 'node:sqlite'];

const lib = new URL('../../lib/', import.meta.url).pathname;
const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

describe('an optional dependency', () => {
  it.each(OPTIONAL)('is never imported before it is asked for: %s', (name) => {
    const importing = sources.filter((source) =>
      new RegExp(`from '${name}'`).test(readFileSync(join(lib, source), 'utf8')),
    );
    expect(importing).toEqual([]);
  });

  it('is not needed to load the adapters', async () => {
    await expect(import('../../lib/leases/postgres/index.js')).resolves.toHaveProperty('PostgresLeaseStore');
    await expect(import('../../lib/leases/redis/index.js')).resolves.toHaveProperty('RedisLeaseStore');
    await expect(import('../../lib/leases/sqlite/index.js')).resolves.toHaveProperty('SqliteLeaseStore');
  });
});
