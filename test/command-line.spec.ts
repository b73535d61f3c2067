import { NestFactory } from '@nestjs/core';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthModule, DownloadLinks } from '../lib/index.js';
import type { DownloadAuthOptions } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { compiledLibrary } from './support/compiled-library.js';
import { temporaryFolder } from './support/files.js';
import { forge, keys, pem } from './support/forge.js';
import { SECRET } from './support/test-app.js';

const LINK_SECRET = 'a secret of links that is long enough';
const folder = temporaryFolder();
afterAll(() => folder.remove());
beforeAll(() => void compiledLibrary(), 60_000);

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function command(args: string[], env: Record<string, string> = {}, input = ''): Promise<Said> {
  const script = join(compiledLibrary(), 'command-line.js');
  const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, ...env } });
  const code = new Promise<number>((resolve) => child.on('close', resolve));
  child.stdin.end(input);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}

/** What is said of a token by standard input; the token itself never is. */
async function inspect(token: string, env: Record<string, string>, input = `${token}\n`): Promise<Said> {
  const said = await command(['inspect'], env, input);
  for (const part of token.split('.')) {
    expect(said.stdout + said.stderr).not.toContain(part);
  }
  return said;
}

async function linkOf(options: DownloadAuthOptions, more: object = {}) {
  const module = DownloadAuthModule.forRoot({
    ...options,
    links: { ...options.links, routes: { file: '/files/:id' }, publicUrl: 'https://files.example' },
  });
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  try {
    return app.get(DownloadLinks).create('file' as never, { params: { id: '42' }, ...more } as never);
  } finally {
    await app.close();
  }
}

describe('the command', () => {
  it('key prints a secret that the module takes, another one each time', async () => {
    const [first, second] = await Promise.all([command(['key']), command(['key'])]);
    expect(first).toEqual({ code: 0, stdout: expect.stringMatching(/^[\w-]{64}\n$/), stderr: '' });
    expect(first.stdout).not.toBe(second.stdout);
    expect(() =>
      DownloadAuthModule.forRoot({ secret: first.stdout.trim(), algorithms: ['HS512'] }),
    ).not.toThrow();
  });

  it('inspect says what an access token contains, when it expires, and that it is genuine', async () => {
    const token = accessToken({
      iat: Math.floor(Date.now() / 1000) - 120,
      exp: Math.floor(Date.now() / 1000) + 7205,
      roles: ['reader'],
    });
    const { code, stdout } = await inspect(token, { JWT_SECRET: SECRET });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Access token\n/);
    expect(stdout).toMatch(/"sub": "ada"[^]*"roles": \[\s*"reader"\s*\]/);
    expect(stdout).toMatch(
      /Issued: {2}2 minutes ago \(20.*Z\)\nStarts: {2}not said\nExpires: in 2 hours \(20.*Z\)/,
    );
    expect(stdout).toMatch(/Genuine: yes\n$/);
  });

  it.each([
    ['another key', accessToken(), { JWT_SECRET: LINK_SECRET }, 1, 'no. It was signed with another key'],
    ['another algorithm', accessToken({}, { algorithm: 'HS512' }), { JWT_SECRET: SECRET }, 1, 'no. It is signed with HS512'],
    ['an expired token', accessToken({ exp: 1e9 }), { JWT_SECRET: SECRET }, 1, 'yes'],
    ['a token that is not valid yet', accessToken({ nbf: 9e9 }), { JWT_SECRET: SECRET }, 1, 'yes'],
    ['a time that is none', accessToken({ nbf: -1e300 }), { JWT_SECRET: SECRET }, 0, 'yes'],
    ['a token of a public key', forge({ alg: 'ES256' }, { exp: 9e9 }, keys.p256.privateKey), { JWT_PUBLIC_KEY: pem(keys.p256.publicKey) }, 0, 'yes'],
  ] as const)('inspect judges %s', async (_case, token, env, code, genuine) => {
    const said = await inspect(token, env);
    expect([said.code, said.stderr]).toEqual([code, '']);
    expect(said.stdout).toContain(`Genuine: ${genuine}`);
  }); // prettier-ignore

  it('inspect takes the URL of a link, whose key is derived or its own', async () => {
    const [derived, own] = await Promise.all([
      linkOf({ secret: SECRET }, { expiresIn: '5m' }),
      linkOf({ secret: SECRET, links: { secret: LINK_SECRET } }),
    ]);
    const [good, with_own, wrong] = await Promise.all([
      inspect(derived.token, { JWT_SECRET: SECRET }, derived.url),
      inspect(own.token, { LINK_SECRET }, `${own.url}#page=2`),
      inspect(own.token, { JWT_SECRET: SECRET }),
    ]);
    expect(good.stdout).toMatch(/^Link\n[^]*Expires: in 5 minutes .*\nGenuine: yes\n$/);
    expect([good.code, with_own.code, wrong.code]).toEqual([0, 0, 1]);
    expect(wrong.stdout).toContain('Genuine: no. It was signed with another key, or altered.');
  });

  it('inspect takes the token as an argument too, and the secret from a file', async () => {
    const file = folder.file('.env', `JWT_SECRET="${SECRET}"\n`);
    const said = await command(['inspect', '--env', file, `Bearer ${accessToken()}`]);
    expect([said.code, said.stderr]).toEqual([0, '']);
  });

  it('inspect prints no character that a terminal would obey', async () => {
    const { stdout } = await inspect(accessToken({ sub: '\u009b31m\u202egnp.exe' }), { JWT_SECRET: SECRET });
    expect(stdout).toContain('"sub": "\ufffd31m\ufffdgnp.exe"');
  });

  it.each([
    [['inspect'], {}, 1, 'Not a JWT.'],
    [['inspect', accessToken()], {}, 2, 'not checked. Set JWT_SECRET'],
    [['inspect', forge({ alg: 'HS256', typ: 'dl+jwt' }, {}, SECRET)], { JWT_PUBLIC_KEY: pem(keys.p256.publicKey) }, 2, 'not checked. Set JWT_SECRET'],
    [['inspect', accessToken()], { JWT_SECRET: 'short' }, 2, 'at least 32 bytes'],
    [['inspect', accessToken(), '--env', '/none/.env'], {}, 2, '/none/.env'],
    [[accessToken()], {}, 2, 'Usage:'],
    [['inspect', `--${accessToken()}`], {}, 2, 'Usage:'],
    [[], {}, 2, 'Usage:'],
  ])('answers %j with advice', async (args, env, code, advice) => {
    const said = await command(args, { JWT_SECRET: '', ...env });
    expect(said.code).toBe(code);
    expect(said.stdout + said.stderr).toContain(advice);
    expect(said.stdout + said.stderr).not.toMatch(/ey[\w-]+\./);
  }); // prettier-ignore
});
