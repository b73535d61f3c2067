import { Controller, Get, Post } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { RefusalCode } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { CARRIERS, form } from '../support/carriers.js';
import type { Carrier } from '../support/carriers.js';
import { base64url, forge, inAnHour, keys, pem } from '../support/forge.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectNoTrace, expectRefusal } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp } from '../support/test-app.js';
import type { Answer } from '../support/http-client.js';
import {
  ecConfusion,
  mangled,
  rsaConfusion,
  selfSupplied,
  strangeHeaders,
  strangePayloads,
  unsigned,
} from './forgeries.js';

const FORM_PARSER_TAKES = 100 * 1024;

@Controller('files')
class FilesController {
  @Get('42')
  @StreamDownload()
  get(): string {
    return 'the file';
  }

  @Post('42')
  @StreamDownload({ transports: { form: true } })
  post(): string {
    return 'the file';
  }
}

describe.each(ADAPTERS)('on %s', (adapter) => {
  const logger = new MemoryLogger();
  const start = (adapter: AdapterName, options: object): Promise<TestApp> =>
    startApp({
      adapter,
      controllers: [FilesController],
      options: { requireSecureConnection: false, ...options },
      http: { maxHeaderSize: 8 * 1024 * 1024 },
      fastify: { bodyLimit: FORM_PARSER_TAKES },
      logger,
    });

  describe.each([
    {
      application: 'an application with a secret',
      options: { secret: SECRET },
      good: () => accessToken(),
      forgeries: [
        ...unsigned(),
        ...strangeHeaders(SECRET),
        ...strangePayloads(SECRET),
        ...mangled(tokenWithDashes()),
        ...selfSupplied(),
        ['HS384 with the right secret, pinned to HS256', forge({ alg: 'HS384' }, good(), SECRET), 'TOKEN_INVALID'],
        ['HS512 with the right secret, pinned to HS256', forge({ alg: 'HS512' }, good(), SECRET), 'TOKEN_INVALID'],
        ['HS256 in name, HS512 in fact', forge({ alg: 'HS256' }, good(), SECRET, 'HS512'), 'TOKEN_INVALID'],
        ['a link made up with the right secret', forge({ alg: 'HS256', typ: 'dl+jwt' }, good(), SECRET), 'LINK_INVALID'],
        ['a link made up, typ in capitals', forge({ alg: 'HS256', typ: 'DL+JWT' }, good(), SECRET), 'LINK_INVALID'],
        ['a link made up, typ a media type', forge({ alg: 'HS256', typ: 'application/dl+jwt' }, good(), SECRET), 'LINK_INVALID'],
        ['a link made up without a signature', `${base64url('{"alg":"none","typ":"dl+jwt"}')}.e30.`, 'LINK_INVALID'],
        ['a link made up with critical extensions', forge({ alg: 'HS256', typ: 'dl+jwt', crit: ['x'] }, good(), SECRET), 'LINK_INVALID'],
        ['a link made up with no claims', forge({ alg: 'HS256', typ: 'dl+jwt' }, 'null', SECRET), 'LINK_INVALID'],
      ] as const, // prettier-ignore
    },
    {
      application: 'an application with an RSA public key',
      options: { publicKey: pem(keys.rsa.publicKey) },
      good: () => forge({ alg: 'RS256' }, good(), keys.rsa.privateKey),
      forgeries: [...unsigned(), ...rsaConfusion(), ...selfSupplied('k1')],
    },
    {
      application: 'an application with an elliptic public key',
      options: { publicKey: pem(keys.p256.publicKey) },
      good: () => forge({ alg: 'ES256' }, good(), keys.p256.privateKey),
      forgeries: [...unsigned(), ...ecConfusion(), ...selfSupplied('k1')],
    },
    {
      application: 'an application with a key ring',
      options: {
        keys: [
          { kid: 'new', publicKey: pem(keys.rsa.publicKey) },
          { kid: 'old', secret: SECRET },
        ],
      },
      good: () => forge({ alg: 'HS256', kid: 'old' }, good(), SECRET),
      forgeries: [
        ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', ' old', 'OLD', 'old\0', 'undefined', 'null',
            '../../dev/null', '/etc/passwd', "old' OR '1'='1", 'old"; DROP TABLE keys; --', 'old|id', 'new,old'] // prettier-ignore
          .map((kid) => [`kid ${JSON.stringify(kid)}`, forge({ alg: 'HS256', kid }, good(), SECRET), 'TOKEN_INVALID'] as const),
        ['no kid', forge({ alg: 'HS256' }, good(), SECRET), 'TOKEN_INVALID'],
        ['the kid of another key', forge({ alg: 'HS256', kid: 'new' }, good(), SECRET), 'TOKEN_INVALID'],
        ['the kid of the secret over an RSA signature', forge({ alg: 'RS256', kid: 'old' }, good(), keys.rsa.privateKey), 'TOKEN_INVALID'],
        ...selfSupplied('new'),
      ] as const, // prettier-ignore
    },
  ])('$application', ({ options, good: goodToken, forgeries }) => {
    let app: TestApp;
    beforeAll(async () => {
      app = await start(adapter, options);
    });
    afterAll(() => app.close());

    it.each(forgeries as readonly (readonly [string, string, RefusalCode])[])(
      'refuses %s, wherever it is carried',
      async (_name, token, code) => {
        for (const carrier of CARRIERS) {
          const answer = await present(app, carrier, token);
          if (answer) {
            expectRefusal(answer, code === 'LINK_INVALID' ? 403 : 401, code, token);
          }
        }
      },
    );

    it('still serves a good token', async () => {
      for (const carrier of CARRIERS) {
        const answer = await present(app, carrier, goodToken());
        expect(answer).toMatchObject({ text: 'the file' });
      }
    });
  });

  describe('a token cut short or too long', () => {
    let app: TestApp;
    beforeAll(async () => {
      app = await start(adapter, { secret: SECRET });
    });
    afterAll(() => app.close());

    it('is refused at every length of a cut, wherever it is carried', async () => {
      const token = accessToken();
      for (const carrier of CARRIERS) {
        const answers = await Promise.all(
          cuts(token).map(async (cut) => [cut, await present(app, carrier, cut)] as const),
        );
        for (const [cut, answer] of answers) {
          expectRefusal(answer as Answer, 401, 'TOKEN_INVALID', cut);
        }
      }
    });

    it('is refused as a link at every length of a cut that still says it is one', async () => {
      const { token } = app.get(DownloadLinks).create(FilesController, 'get');
      const header = token.indexOf('.');
      const answers = await Promise.all(
        cuts(token).map(async (cut) => [cut, await app.request(`/files/42?ss-tok=${cut}`)] as const),
      );
      for (const [cut, answer] of answers) {
        if (cut.length >= header) {
          expectRefusal(answer, 403, 'LINK_INVALID', cut);
        } else {
          expectRefusal(answer, 401, 'TOKEN_INVALID', cut);
        }
      }
    });

    it.each([
      ['64 KiB of one letter', 'A'.repeat(64 * 1024)],
      ['64 KiB of dots', '.'.repeat(64 * 1024)],
      ['64 KiB of quotes', '"'.repeat(16 * 1024)],
      ['64 KiB, well signed', forge({ alg: 'HS256' }, { ...good(), x: 'x'.repeat(48 * 1024) }, SECRET)],
      ['64 KiB of header, well signed', forge({ alg: 'HS256', x: 'x'.repeat(48 * 1024) }, good(), SECRET)],
      ['64 KiB of signature', `${accessToken()}${'A'.repeat(64 * 1024)}`],
      ['just over 16 KiB, well signed', ofLength(16 * 1024 + 1)],
    ])('is refused at %s', async (_name, token) => {
      for (const carrier of CARRIERS) {
        const answer = (await present(app, carrier, token)) as Answer;
        expectRefusal(answer, 401, 'TOKEN_INVALID', token);
      }
    });

    it('is refused at a mebibyte, in a form by the parser of forms', async () => {
      const token = 'A'.repeat(1024 * 1024);
      for (const carrier of CARRIERS) {
        const answer = await present(app, carrier, token);
        if (carrier === form) {
          expect(answer?.status).toBe(413);
        } else {
          expectRefusal(answer as Answer, 401, 'TOKEN_INVALID', token);
        }
      }
    });

    it('is good up to 16 KiB', async () => {
      for (const carrier of CARRIERS) {
        expect(await present(app, carrier, ofLength(16 * 1024))).toMatchObject({ text: 'the file' });
      }
    });
  });

  it('nothing of it all is in the log', () => {
    expectNoTrace(logger.text, accessToken());
    expect(logger.text).not.toMatch(/eyJ[A-Za-z0-9_-]{10}/);
  });
});

async function present(app: TestApp, carrier: Carrier, token: string): Promise<Answer | undefined> {
  const request = carrier.carry('/files/42', token);
  return request && (await app.request(request.path, request.options));
}

function good(): Record<string, unknown> {
  return { sub: 'ada', exp: inAnHour() };
}

/** A good token in whose signature both of the letters stand that base64 spells differently. */
function tokenWithDashes(): string {
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const token = forge({ alg: 'HS256', kid: 'a' }, { ...good(), jti: `token ${attempt}` }, SECRET);
    const [header, payload, signature] = token.split('.') as [string, string, string];
    const haveSpareBits = [header, payload].every((segment) => segment.length % 4 !== 0);
    if (haveSpareBits && /-.*_|_.*-/.test(signature)) {
      return token;
    }
  }
  throw new Error('there is no such token');
}

/** A good token of exactly so many characters. */
function ofLength(length: number): string {
  for (const kid of ['', 'k', 'ki', 'kid']) {
    const enough = Math.floor((length - 200) * 0.75);
    for (let filling = enough; filling < enough + 200; filling++) {
      const token = forge({ alg: 'HS256', kid }, { ...good(), x: 'x'.repeat(filling) }, SECRET);
      if (token.length === length) {
        return token;
      }
    }
  }
  throw new Error(`there is no token of ${length} characters`);
}

function cuts(token: string): string[] {
  return Array.from({ length: token.length - 1 }, (_, index) => token.slice(0, index + 1));
}
