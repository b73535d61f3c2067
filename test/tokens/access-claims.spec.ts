import { Controller, ForbiddenException, Get, HttpException, NotFoundException, Req } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DownloadAuthOptions, RefusalCode, TokenClaims } from '../../lib/index.js';
import { StreamDownload } from '../../lib/index.js';
import { forge } from '../support/forge.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectNoTrace, expectRefusal } from '../support/refusal.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const NOW = 1_800_000_000;
const SIGNED = (claims: object): string => forge({ alg: 'HS256' }, { sub: 'ada', ...claims }, SECRET);

@Controller('files')
class FilesController {
  @Get('42')
  @StreamDownload()
  get(@Req() request: { user: unknown }): unknown {
    return { user: request.user };
  }
}

type Case = readonly [name: string, claims: object, outcome: RefusalCode | 200];
const STATUS: Partial<Record<RefusalCode | 200, number>> = { 200: 200, ACCESS_DENIED: 403 };

describe.each(ADAPTERS)('the claims of an access token on %s', (adapter) => {
  let now = NOW;
  let app: TestApp | undefined;
  const logger = new MemoryLogger();
  beforeEach(() => {
    now = NOW;
  });

  async function start(options: DownloadAuthOptions): Promise<TestApp> {
    app = await startApp({
      adapter,
      controllers: [FilesController],
      options: { secret: SECRET, clock: () => now * 1000, ...options },
      logger,
    });
    return app;
  }

  async function check([, claims, outcome]: Case): Promise<void> {
    const token = SIGNED(claims);
    const answer = await (app as TestApp).request('/files/42', { headers: bearer(token) });
    if (outcome === 200) {expect(answer.json).toEqual({ user: { sub: 'ada', ...claims } });}
    else {expectRefusal(answer, STATUS[outcome] ?? 401, outcome, token);}
  }

  describe.each<{ when: string; options: DownloadAuthOptions; cases: readonly Case[] }>([
    {
      when: 'by default',
      options: {},
      cases: [
        ['exp a second ahead', { exp: NOW + 1 }, 200],
        ['exp half a second ahead', { exp: NOW + 0.5 }, 200],
        ['exp at this very moment', { exp: NOW }, 'TOKEN_EXPIRED'],
        ['exp a second ago', { exp: NOW - 1 }, 'TOKEN_EXPIRED'],
        ['no exp', {}, 'TOKEN_INVALID'],
        ['nbf at this very moment', { exp: NOW + 9, nbf: NOW }, 200],
        ['nbf a second ahead', { exp: NOW + 9, nbf: NOW + 1 }, 'TOKEN_NOT_YET_VALID'],
        ['exp over and nbf ahead', { exp: NOW - 9, nbf: NOW + 9 }, 'TOKEN_EXPIRED'],
        ['any iss and aud', { exp: NOW + 9, iss: 'anyone', aud: 'anything' }, 200],
        ['iat in the future', { exp: NOW + 9, iat: NOW + 99 }, 200],
      ],
    },
    {
      when: 'with clockTolerance of 30 seconds',
      options: { clockTolerance: '30s' },
      cases: [
        ['exp 29 seconds ago', { exp: NOW - 29 }, 200],
        ['exp 30 seconds ago', { exp: NOW - 30 }, 'TOKEN_EXPIRED'],
        ['nbf 30 seconds ahead', { exp: NOW + 99, nbf: NOW + 30 }, 200],
        ['nbf 31 seconds ahead', { exp: NOW + 99, nbf: NOW + 31 }, 'TOKEN_NOT_YET_VALID'],
      ],
    },
    {
      when: 'without requireExpiration',
      options: { requireExpiration: false },
      cases: [
        ['no exp', {}, 200],
        ['exp ago', { exp: NOW - 1 }, 'TOKEN_EXPIRED'],
        ['exp null', { exp: null }, 'TOKEN_INVALID'],
        ['exp a text', { exp: String(NOW + 99) }, 'TOKEN_INVALID'],
      ],
    },
    {
      when: 'with one issuer and one audience',
      options: { issuer: 'https://idp', audience: 'downloads' },
      cases: [
        ['both right', { exp: NOW + 9, iss: 'https://idp', aud: 'downloads' }, 200],
        ['aud a list with the right one', { exp: NOW + 9, iss: 'https://idp', aud: ['x', 'downloads'] }, 200],
        ['no iss', { exp: NOW + 9, aud: 'downloads' }, 'TOKEN_INVALID'],
        ['another iss', { exp: NOW + 9, iss: 'https://evil', aud: 'downloads' }, 'TOKEN_INVALID'],
        ['iss with a slash more', { exp: NOW + 9, iss: 'https://idp/', aud: 'downloads' }, 'TOKEN_INVALID'],
        ['iss a list', { exp: NOW + 9, iss: ['https://idp'], aud: 'downloads' }, 'TOKEN_INVALID'],
        ['no aud', { exp: NOW + 9, iss: 'https://idp' }, 'TOKEN_INVALID'],
        ['another aud', { exp: NOW + 9, iss: 'https://idp', aud: 'uploads' }, 'TOKEN_INVALID'],
        ['part of the aud', { exp: NOW + 9, iss: 'https://idp', aud: 'down' }, 'TOKEN_INVALID'],
        ['an empty list of aud', { exp: NOW + 9, iss: 'https://idp', aud: [] }, 'TOKEN_INVALID'],
        ['aud a list in a list', { exp: NOW + 9, iss: 'https://idp', aud: [['downloads']] }, 'TOKEN_INVALID'],
        ['aud an object', { exp: NOW + 9, iss: 'https://idp', aud: { 0: 'downloads', length: 1 } }, 'TOKEN_INVALID'],
        ['the wrong iss of an expired token', { exp: NOW - 9, iss: 'x', aud: 'downloads' }, 'TOKEN_INVALID'],
      ], // prettier-ignore
    },
    {
      when: 'with several issuers and audiences',
      options: { issuer: ['a', 'b'], audience: ['x', 'y'] },
      cases: [
        ['the second of both', { exp: NOW + 9, iss: 'b', aud: 'y' }, 200],
        ['the second in a list', { exp: NOW + 9, iss: 'a', aud: ['q', 'y'] }, 200],
        ['neither', { exp: NOW + 9, iss: 'c', aud: 'x' }, 'TOKEN_INVALID'],
      ],
    },
    {
      when: 'with notIssuedBefore a date',
      options: { notIssuedBefore: new Date((NOW - 100) * 1000 + 500) },
      cases: [
        ['iat after it', { exp: NOW + 9, iat: NOW - 99 }, 200],
        ['iat in the second of it', { exp: NOW + 9, iat: NOW - 100 }, 200],
        ['iat the second before it', { exp: NOW + 9, iat: NOW - 101 }, 'TOKEN_CUT_OFF'],
        ['no iat', { exp: NOW + 9 }, 'TOKEN_CUT_OFF'],
      ],
    },
    {
      when: 'with notIssuedBefore a function',
      options: {
        notIssuedBefore: async ({ jti }: TokenClaims) => (jti === 'free' ? undefined : new Date(NOW * 1000)),
      },
      cases: [
        ['a token it does not cut off', { exp: NOW + 9, jti: 'free' }, 200],
        ['iat before', { exp: NOW + 9, iat: NOW - 1 }, 'TOKEN_CUT_OFF'],
        ['iat at the moment', { exp: NOW + 9, iat: NOW }, 200],
      ],
    },
    {
      when: 'with a validate that says no',
      options: { validate: async ({ jti }: TokenClaims) => [undefined, null, false, 0, ''][Number(jti)] },
      cases: [0, 1, 2, 3, 4].map((jti) => [
        `falsy answer ${jti}`,
        { exp: NOW + 9, jti: String(jti) },
        'ACCESS_DENIED',
      ]),
    },
  ])('$when', ({ options, cases }) => {
    beforeAll(() => start(options));
    afterAll(() => app?.close());
    it.each(cases)('%s', (...one) => check(one));
  });

  describe('with a validate of the application', () => {
    let asked: [TokenClaims, any][] = [];
    beforeAll(() =>
      start({
        validate: (claims, request: any) => {
          asked.push([claims, request]);
          switch (claims.jti) {
            case 'forbidden':
              throw new ForbiddenException('not for you');
            case 'gone':
              throw new NotFoundException('gone');
            case 'payment':
              return Promise.reject(new HttpException('pay first', 402));
            case 'broken':
              throw new Error(`database of ${SIGNED(claims).slice(0, 3)} is down`);
            case 'promise':
              return Promise.resolve({ name: 'Ada, later' });
          }
          return { name: 'Ada' };
        },
      }),
    );
    afterAll(() => app?.close());
    beforeEach(() => {
      asked = [];
    });
    const ask = (jti: string, exp = NOW + 9) =>
      (app as TestApp).request('/files/42', { headers: bearer(SIGNED({ exp, jti })) });

    it.each([
      ['now', { name: 'Ada' }],
      ['promise', { name: 'Ada, later' }],
    ])('what it returns (%s) becomes request.user', async (jti, user) => {
      expect((await ask(jti)).json).toEqual({ user });
      expect(asked).toHaveLength(1);
      expect(asked[0]?.[0]).toEqual({ sub: 'ada', exp: NOW + 9, jti });
      expect(asked[0]?.[1].headers.authorization).toMatch(/^Bearer /);
    });

    it.each([
      ['forbidden', 403, 'not for you'],
      ['payment', 402, 'pay first'],
      ['gone', 404, 'gone'],
      ['broken', 500, 'Internal server error'],
    ])('the answer that it throws (%s) is the answer', async (jti, status, message) => {
      const answer = await ask(jti);
      expect(answer.status).toBe(status);
      expect(answer.json.message).toBe(message);
      expect(answer.headers['cache-control']).toBe('no-store');
    });

    it('its own failure is a 500 that tells nobody the token', async () => {
      const answer = await ask('broken');
      expect(answer.status).toBe(500);
      expect(answer.json).toEqual({ statusCode: 500, message: 'Internal server error' });
      expectNoTrace(logger.text, SIGNED({ exp: NOW + 9, jti: 'broken' }));
    });

    it('is not asked about a token that is no good', async () => {
      expectRefusal(await ask('now', NOW), 401, 'TOKEN_EXPIRED');
      const forged = forge({ alg: 'HS256' }, { exp: NOW + 9 }, `not ${SECRET}`);
      const answer = await (app as TestApp).request('/files/42', { headers: bearer(forged) });
      expectRefusal(answer, 401, 'TOKEN_INVALID', forged);
      expect(asked).toEqual([]);
    });
  });

  describe('that mean to poison prototypes', () => {
    beforeAll(() => start({}));
    afterAll(() => app?.close());

    it('stay claims like any other', async () => {
      const payload = `{"exp":${NOW + 9},"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}`;
      const token = forge({ alg: 'HS256' }, payload, SECRET);
      const answer = await (app as TestApp).request('/files/42', { headers: bearer(token) });
      expect(answer.text).toBe(`{"user":${payload}}`);
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
    });
  });

  describe('with a notIssuedBefore that cannot tell', () => {
    afterAll(() => app?.close());
    it.each([
      ['an invalid date', () => new Date(NaN)],
      ['a number', () => NOW as unknown as Date],
      ['a failure', () => Promise.reject(new Error('database is down'))],
    ])('nobody is let in (%s)', async (_name, notIssuedBefore) => {
      await app?.close();
      await start({ notIssuedBefore });
      const answer = await (app as TestApp).request('/files/42', { headers: bearer(SIGNED({ exp: NOW + 9, iat: NOW })) });
      expect(answer.status).toBe(500);
    });
  });
}); // prettier-ignore
