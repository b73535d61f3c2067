import {
  Controller,
  ForbiddenException,
  Get,
  NotFoundException,
  Param,
  Res,
  StreamableFile,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import type { CallHandler, NestInterceptor } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { map } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadGrant } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const refusing = {
  canActivate: () => {
    throw new ForbiddenException();
  },
};
const failing: NestInterceptor = {
  intercept: (_context, next: CallHandler) =>
    next.handle().pipe(
      map(() => {
        throw new ForbiddenException();
      }),
    ),
};

/** How a handler answers, and whether a browser may keep the cookies of its link. */
const ANSWERS: Record<string, (response: any) => unknown> = {
  file: () => Download.buffer(Buffer.from('bytes'), { etag: 'v1' }),
  absent: () => {
    throw new NotFoundException();
  },
  'missing file': () => new StreamableFile(createReadStream('/there/is/no/such/file')),
  'unreadable file': () =>
    Download.source({ length: 5, open: () => Promise.reject(new Error('unreadable')) }),
};

@Controller('files')
class FilesController {
  constructor(private readonly links: DownloadLinks) {}

  @Get('plain/:name')
  @StreamDownload()
  plain(@Param('name') name: string, @Res({ passthrough: true }) response: unknown) {
    return ANSWERS[name]!(response);
  }

  @Get('revoked/:name')
  @StreamDownload()
  revoked(@Param('name') name: string, @Grant() grant: DownloadGrant) {
    this.links.requireState(grant, name === 'file' ? 2 : 1);
    return ANSWERS.file!(undefined);
  }

  @Get('guarded/:name')
  @StreamDownload()
  @UseGuards(refusing)
  guarded() {
    return ANSWERS.file!(undefined);
  }

  @Get('failing/:name')
  @UseInterceptors(failing)
  @StreamDownload()
  failing() {
    return ANSWERS.file!(undefined);
  }

  @Get('self/:name')
  @StreamDownload()
  self(@Param('name') name: string, @Res() response: any) {
    response.status(name === 'file' ? 200 : 410).send('the answer');
  }
}

type Handler = 'plain' | 'revoked' | 'guarded' | 'failing' | 'self';

describe.each(ADAPTERS)('the cookies of a link, on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [FilesController], options: { secret: SECRET } });
  });
  afterAll(() => app.close());

  const ask = async (handler: Handler, name: string, kind: string, headers = {}) => {
    const link = app.get(DownloadLinks).create(FilesController, handler, {
      params: { name },
      ...(kind === 'ss-open-' ? { free: ['name'] } : { maxDownloads: 1 }),
      ...(handler === 'revoked' && { state: 1 }),
    });
    const answer = await app.request(link.url, { headers });
    const set = answer.headers['set-cookie'] ?? [];
    return [answer.status, set.filter((line) => line.startsWith(kind)).length];
  };

  it.each<[Handler, string, number]>([
    ['plain', 'absent', 404],
    ['plain', 'missing file', 404],
    ['plain', 'unreadable file', 500],
    ['revoked', 'file', 410],
    ['guarded', 'file', 403],
    ['failing', 'file', 403],
    ['self', 'absent', 410],
  ])('are not set with an error: %s, %s is %i', async (handler, name, status) => {
    expect(await ask(handler, name, 'ss-open-')).toEqual([status, 0]);
    if (handler !== 'self') {
      expect(await ask(handler, name, 'ss-lease-')).toEqual([status, 0]);
    }
  });

  it.each<[Handler, string, string, object, number]>([
    ['plain', 'file', 'ss-open-', {}, 200],
    ['plain', 'file', 'ss-open-', { 'if-none-match': '"v1"' }, 304],
    ['plain', 'file', 'ss-lease-', {}, 200],
    ['plain', 'file', 'ss-lease-', { range: 'bytes=1-' }, 206],
    ['revoked', 'other', 'ss-open-', {}, 200],
    ['self', 'file', 'ss-open-', {}, 200],
  ])('are set with any other answer: %s, %s, %s %j', async (handler, name, kind, headers, status) => {
    expect(await ask(handler, name, kind, headers)).toEqual([status, 1]);
  });
});
