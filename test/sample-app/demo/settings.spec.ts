import { expect, it } from 'vitest';
import { readSettings, SettingsError } from '../../../sample-app/demo/settings.js';

it('has defaults for everything', () => {
  const settings = readSettings({});
  expect(settings).toMatchObject({
    host: '127.0.0.1',
    port: 3000,
    filesDir: undefined,
    adapter: 'express',
    storage: { kind: 'memory' },
    hostNames: [],
    warnings: [expect.stringContaining('JWT_SECRET is not set')],
  });
  expect(settings.jwtSecret.length).toBeGreaterThanOrEqual(32);
  expect(readSettings({}).jwtSecret).not.toBe(settings.jwtSecret);
});

it('reads the environment', () => {
  const environment = {
    HOST: '0.0.0.0',
    PUBLIC_URL: 'https://Files.example:8443/',
    PORT: '8080',
    FILES_DIR: '/srv/files',
    JWT_SECRET: 'from the environment',
    HTTP_ADAPTER: 'Fastify',
    REDIS_URL: 'redis://127.0.0.1:6379',
  };
  expect(readSettings(environment)).toEqual({
    host: '0.0.0.0',
    port: 8080,
    filesDir: '/srv/files',
    jwtSecret: 'from the environment',
    adapter: 'fastify',
    storage: { kind: 'redis', url: 'redis://127.0.0.1:6379' },
    hostNames: ['0.0.0.0', 'files.example'],
    warnings: [],
  });
});

it('treats a blank value as unset', () => {
  expect(readSettings({ PORT: ' ', FILES_DIR: '', HTTP_ADAPTER: '' })).toMatchObject({
    port: 3000,
    filesDir: undefined,
    adapter: 'express',
  });
});

it.each([
  { PORT: 'http' },
  { PORT: '65536' },
  { PORT: '-1' },
  { PORT: '80.5' },
  { PORT: '1e3' },
  { HTTP_ADAPTER: 'koa' },
  { PUBLIC_URL: 'files.example' },
  { PUBLIC_URL: 'javascript:alert(1)' },
  { REDIS_URL: 'localhost' },
  { REDIS_URL: 'http://127.0.0.1:6379' },
  { REDIS_URL: 'redis://' },
  { DATABASE_URL: 'localhost' },
  { DATABASE_URL: 'mysql://localhost/files' },
  { DATABASE_URL: 'postgres://localhost/files', REDIS_URL: 'redis://127.0.0.1:6379' },
  { REDIS_URL: 'redis://127.0.0.1:6379', SQLITE_FILE: 'links.db' },
])('refuses %j and says what to write', (environment) => {
  expect(() => readSettings(environment)).toThrow(SettingsError);
  expect(() => readSettings(environment)).toThrow(/Write /);
});

it.each([
  [{ REDIS_URL: 'rediss://redis.example' }, { kind: 'redis', url: 'rediss://redis.example' }],
  [{ DATABASE_URL: 'postgres://db/files' }, { kind: 'postgres', url: 'postgres://db/files' }],
  [{ SQLITE_FILE: 'links.db' }, { kind: 'sqlite', file: 'links.db' }],
])(
  'keeps links in the place that %j names, and asks for a secret that instances can share',
  (environment, storage) => {
    expect(readSettings(environment)).toMatchObject({
      storage,
      warnings: [expect.anything(), expect.stringContaining('the same JWT_SECRET')],
    });
  },
);
