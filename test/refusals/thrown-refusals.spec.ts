import {
  Catch,
  Controller,
  Get,
  HttpException,
  Inject,
  Injectable,
  Param,
  Post,
  Res,
  UseFilters,
} from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter, Provider, Type } from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { Download, DownloadEvents, DownloadRefusal, StreamDownload } from '../../lib/index.js';
import type { DownloadAuthOptions, DownloadEvent, RefusalCode } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { receive } from '../support/http-client.js';
import { ADAPTERS, bearer, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { expectRefusal } from '../support/refusal.js';

/** What the application's filters answer with: their own status and body, whatever was thrown. */
@Injectable()
class Envelope {
  of(by: string, error: Error): object {
    return { error: { by, code: (error as DownloadRefusal).code, text: error.message } };
  }
}

abstract class ApplicationFilter implements ExceptionFilter {
  protected abstract readonly by: string;
  private readonly envelope = new Envelope();

  catch(error: Error, host: ArgumentsHost): void {
    const response = host
      .switchToHttp()
      .getResponse<{ status(code: number): { send(body: object): void } }>();
    response.status(418).send(this.envelope.of(this.by, error));
  }
}

@Catch()
class CatchesAll extends ApplicationFilter {
  override readonly by = 'all';
}

@Catch(HttpException)
class CatchesHttp extends ApplicationFilter {
  override readonly by = 'http';
}

@Catch(DownloadRefusal)
class CatchesRefusals extends ApplicationFilter {
  override readonly by = 'class';
}

@Catch(DownloadRefusal)
class Injected implements ExceptionFilter {
  constructor(
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(Envelope) private readonly envelope: Envelope,
  ) {}

  catch(error: DownloadRefusal, host: ArgumentsHost): void {
    const body = this.envelope.of('injected', error);
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), body, 418);
  }
}

class Routes {
  @Get('thrown/:code')
  @StreamDownload({ delivery: { cacheControl: 'private, max-age=60' } })
  thrown(@Param('code') code: RefusalCode): never {
    throw new DownloadRefusal(code);
  }

  @Get('unreadable')
  @StreamDownload({ delivery: { cacheControl: 'private, max-age=60' } })
  unreadable(): Download {
    const open = (): never => {
      throw new DownloadRefusal('STORE_UNAVAILABLE');
    };
    return Download.source({ length: 10, etag: '"v1"', open }, { filename: 'report.pdf' });
  }

  @Get('half')
  @StreamDownload()
  async half(@Res() response: ServerResponse & { raw?: ServerResponse }): Promise<never> {
    const raw = response.raw ?? response;
    raw.writeHead(200, { 'Content-Length': 10 });
    await new Promise((written) => raw.write('half', written));
    throw new DownloadRefusal('LINK_REVOKED');
  }

  @Post('posted')
  @StreamDownload()
  posted(): string {
    return 'the file';
  }
}

@Controller('files')
class FilesController extends Routes {}

@Controller('filtered')
@UseFilters(CatchesRefusals)
class FilteredController extends Routes {}

/** Where a refusal comes from: a request, its code, and the header fields that belong to it. */
const REFUSED: [from: string, path: string, hasToken: boolean, code: RefusalCode, fields: object][] = [
  ['the guard', '/posted', false, 'TOKEN_MISSING', { 'www-authenticate': 'Bearer' }],
  ['a handler', '/thrown/KEY_UNAVAILABLE', true, 'KEY_UNAVAILABLE', { 'retry-after': '5' }],
  ['a handler that asks for a token', '/thrown/TOKEN_CUT_OFF', true, 'TOKEN_CUT_OFF', { 'www-authenticate': expect.stringContaining('invalid_token') }],
  ['a file that was about to be sent', '/unreadable', true, 'STORE_UNAVAILABLE', { 'retry-after': '5' }],
]; // prettier-ignore

describe.each(ADAPTERS)("with refusals: 'throw' on %s", (adapter) => {
  let app: TestApp;
  afterEach(() => app.close());

  const start = async (
    filter?: 'global' | 'injected' | 'everything',
    refusals: DownloadAuthOptions['refusals'] = 'throw',
  ) => {
    const global: Record<string, Type<ExceptionFilter>> = { global: CatchesHttp, everything: CatchesAll };
    app = await startApp({
      adapter,
      controllers: [FilesController, FilteredController],
      options: { secret: SECRET, refusals },
      providers: [
        Envelope,
        ...(filter === 'injected' ? [{ provide: APP_FILTER, useClass: Injected } satisfies Provider] : []),
      ],
      configure: (nest) => {
        const type = global[filter ?? ''];
        if (type) {
          nest.useGlobalFilters(new type());
        }
      },
    });
  };
  const request = (path: string, hasToken: boolean) =>
    app.request(path, {
      method: path.endsWith('posted') ? 'POST' : 'GET',
      headers: { accept: 'text/html', ...(hasToken ? bearer(accessToken()) : {}) },
    });

  it.each([
    ["an application's global filter for HttpException", 'global', '/files', 'http'],
    ["an application's filter for everything", 'everything', '/files', 'all'],
    ['a filter with dependencies (APP_FILTER)', 'injected', '/files', 'injected'],
    ['a filter of the class', undefined, '/filtered', 'class'],
    ['a filter of the class, before a global one', 'global', '/filtered', 'class'],
  ] as const)('%s answers, with the header fields of the refusal', async (_name, filter, base, by) => {
    await start(filter);
    for (const [from, path, hasToken, code, fields] of REFUSED) {
      const answer = await request(base + path, hasToken);
      const text = new DownloadRefusal(code).message;
      expect([from, answer.status, answer.json]).toEqual([from, 418, { error: { by, code, text } }]);
      expect(answer.headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        ...fields,
      });
      expect(answer.headers.etag).not.toBe('"v1"');
      for (const name of ['content-disposition', 'accept-ranges', 'last-modified']) {
        expect(answer.headers).not.toHaveProperty(name);
      }
    }
  });

  it('Nest answers where the application has no filter', async () => {
    await start();
    for (const [, path, hasToken, code] of REFUSED) {
      const answer = await request(`/files${path}`, hasToken);
      expectRefusal(answer, new DownloadRefusal(code).getStatus(), code);
    }
  });

  it.each(['throw', 'answer'] as const)('a refusal half way breaks the connection (%s)', async (refusals) => {
    await start('everything', refusals);
    const answer = await receive(`${app.url}/files/half`, { headers: bearer(accessToken()) });
    expect(answer).toMatchObject({ status: 200, broken: true });
    expect(answer.body.toString()).toBe('half');
  });

  it('a refusal is told once to the events', async () => {
    await start('global');
    const codes: string[] = [];
    app
      .get(DownloadEvents)
      .subscribe((event: DownloadEvent) => event.type === 'refused' && codes.push(event.code));
    for (const [, path, hasToken] of REFUSED) {
      await request(`/files${path}`, hasToken);
    }
    expect(codes).toEqual(REFUSED.map(([, , , code]) => code));
  });
});
