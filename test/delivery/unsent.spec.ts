import {
  Controller,
  ForbiddenException,
  Get,
  NotFoundException,
  Param,
  Query,
  RequestTimeoutException,
  Res,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import type { CallHandler, NestInterceptor } from '@nestjs/common';
import { createReadStream, existsSync } from 'node:fs';
import { once } from 'node:events';
import { PassThrough, pipeline } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { concat, map, NEVER, of, throwError, timeout } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadGrant } from '../../lib/index.js';
import { COUNTS_DESCRIPTORS, openDescriptors, temporaryFolder } from '../support/files.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const path = folder.file('file.bin', Buffer.alloc(100_000, 'x'));
const temporary = () => folder.file('temporary.bin', 'made for one answer');

/** What `onEnd` was told. */
const ends: unknown[] = [];
const onEnd = (end: unknown) => void ends.push(end);

/** What a handler may return. */
const bodies: Record<string, () => StreamableFile | Promise<StreamableFile>> = {
  'file stream': () => new StreamableFile(createReadStream(path)),
  'opened file stream': async () => {
    const stream = createReadStream(path);
    await once(stream, 'open');
    return new StreamableFile(stream);
  },
  'other stream': () => new StreamableFile(pipeline(createReadStream(path), new PassThrough(), () => {})),
  'Download.stream': () => Download.stream(createReadStream(path), { onEnd }),
  'Download.file': () => Download.file(temporary(), { deleteAfter: true, onEnd }),
};

const impatient: NestInterceptor = {
  intercept: (_context, next: CallHandler) =>
    next.handle().pipe(timeout({ each: 10, with: () => throwError(() => new RequestTimeoutException()) })),
};
const replacing: NestInterceptor = {
  intercept: (_context, next: CallHandler) => next.handle().pipe(map(() => 'something else')),
};
const refusing: NestInterceptor = {
  intercept: (_context, next: CallHandler) =>
    next.handle().pipe(
      map(() => {
        throw new ForbiddenException();
      }),
    ),
};
const envelope: NestInterceptor = {
  intercept: (_context, next: CallHandler) => next.handle().pipe(map((data: unknown) => ({ data }))),
};

/** They hold nothing, but must not end the process. */
const odd: Record<string, () => StreamableFile> = {
  'missing file': () => new StreamableFile(createReadStream(`${folder.path}/missing`)),
  'stream that can only be piped': () => new StreamableFile({ pipe: () => undefined } as never),
};

/** Why a body is not sent, after its handler made it. */
const WAYS: Record<string, (body: StreamableFile) => unknown> = {
  'the handler fails after it': (body) =>
    concat(
      of(body),
      throwError(() => new NotFoundException()),
    ),
  'another file follows it': (body) => of(body, Download.buffer(Buffer.from('the last'))),
  'something else fails before it': (body) => of({ data: Download.buffer(Buffer.from('wrapped')) }, body),
};

@Controller()
class FilesController {
  constructor(private readonly links: DownloadLinks) {}

  @Get('emitted/:body/:way')
  @StreamDownload({ auth: 'public' })
  async emitted(@Param('body') body: string, @Param('way') way: string) {
    return WAYS[way]!(await (bodies[body] ?? odd[body])!());
  }

  @Get('inner/left/:body')
  @UseInterceptors(impatient)
  @StreamDownload({ auth: 'public' })
  async innerLeft(@Param('body') body: string) {
    return concat(of(await bodies[body]!()), NEVER);
  }

  @Get('outer/left/:body')
  @StreamDownload({ auth: 'public' })
  @UseInterceptors(impatient)
  async outerLeft(@Param('body') body: string) {
    return concat(of(await bodies[body]!()), NEVER);
  }

  @Get('outer/late/:body')
  @StreamDownload({ auth: 'public' })
  @UseInterceptors(impatient)
  async late(@Param('body') body: string) {
    await setTimeout(30);
    return bodies[body]!();
  }

  @Get('inner/wrapped/:body')
  @UseInterceptors(envelope)
  @StreamDownload({ auth: 'public' })
  innerWrapped(@Param('body') body: string) {
    return bodies[body]!();
  }

  @Get('outer/wrapped/:body')
  @StreamDownload({ auth: 'public' })
  @UseInterceptors(envelope)
  outerWrapped(@Param('body') body: string) {
    return bodies[body]!();
  }

  @Get('outer/replaced/:body')
  @StreamDownload({ auth: 'public' })
  @UseInterceptors(replacing)
  replaced(@Param('body') body: string) {
    return bodies[body]!();
  }

  @Get('outer/refused/:body')
  @StreamDownload({ auth: 'public' })
  @UseInterceptors(refusing)
  refused(@Param('body') body: string) {
    return bodies[body]!();
  }

  @Get('answered/:body')
  @StreamDownload({ auth: 'public' })
  answered(@Param('body') body: string, @Res({ passthrough: true }) response: any) {
    response.send('the answer');
    return bodies[body]!();
  }

  @Get('plain/:body')
  @StreamDownload({ auth: 'public' })
  plain(@Param('body') body: string) {
    return bodies[body]!();
  }

  @Get('unmarked/:body')
  unmarked(@Param('body') body: string) {
    return bodies[body]!();
  }

  @Get('shared/:body')
  @StreamDownload()
  shared(@Param('body') body: string, @Grant() grant: DownloadGrant, @Query('asks') asks?: string) {
    if (asks === 'yes') {
      this.links.requireState(grant, 1);
    }
    return bodies[body]!();
  }
}

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [FilesController], options: { secret: SECRET } });
  });
  afterAll(() => app.close());
  afterEach(() => ends.splice(0));

  /** Everything that the handler opened is closed, deleted and told. */
  async function isFree(body: string): Promise<void> {
    if (COUNTS_DESCRIPTORS) {
      await until(() => openDescriptors(folder.path) === 0, 'the closing of every descriptor');
    }
    await until(() => !existsSync(`${folder.path}/temporary.bin`), 'the deletion of the file');
    const expected = body.startsWith('Download') ? [{ completed: false, bytes: 0 }] : [];
    await until(() => ends.length >= expected.length, 'the end');
    expect(ends).toEqual(expected);
  }

  const kinds = Object.keys(bodies);
  const cases = kinds.flatMap((body) =>
    [
      ...Object.keys(WAYS).map((way) => [`/emitted/${body}/${way}`, way.startsWith('another') ? 200 : 0]),
      [`/inner/left/${body}`, 408],
      [`/outer/left/${body}`, 408],
      [`/outer/late/${body}`, 408],
      [`/inner/wrapped/${body}`, 500],
      [`/outer/wrapped/${body}`, 500],
      [`/outer/replaced/${body}`, 200],
      [`/outer/refused/${body}`, 403],
      [`/answered/${body}`, 200],
      [`/unmarked/${body}`, body.startsWith('Download') ? 500 : 0],
    ].map(([url, status]) => [url, status, body] as [string, number, string]),
  );
  it.each(cases)('a body that is not sent is closed: %s', async (url, status, body) => {
    const answer = await app.request(encodeURI(url));
    expect(answer.status).toBe(status || answer.status);
    if (!url.startsWith('/unmarked') || status) {
      await isFree(body);
    }
  });

  it.each(Object.keys(odd))('nor does the process end: %s', async (body) => {
    const answer = await app.request(encodeURI(`/emitted/${body}/another file follows it`));
    expect(answer.text).toBe('the last');
  });

  it.each(
    kinds.flatMap((body) => [
      [body, 'HEAD', {}, 200],
      [body, 'GET', { 'if-none-match': '*' }, 0],
      [body, 'GET', { range: 'bytes=900000-' }, 0],
    ]) as [string, string, Record<string, string>, number][],
  )('nor an answer without it: %s, %s %j', async (body, method, headers, status) => {
    const answer = await app.request(encodeURI(`/plain/${body}`), { method, headers });
    expect(answer.status).toBe(status || answer.status);
    if (answer.body.length === 0) {
      await isFree(body);
    }
  });

  it.each(
    kinds.flatMap(
      (body) =>
        [
          [body, 'yes', 410],
          [body, 'no', 500],
        ] as [string, string, number][],
    ),
  )(
    'nor that of a link which is found revoked after the handler ran: %s, asks for its state: %s',
    async (body, asks, status) => {
      const links = app.get(DownloadLinks);
      const link = links.create(FilesController, 'shared', {
        params: { body },
        query: { asks },
        state: 1,
        maxDownloads: 2,
      });
      await links.revoke({ link: link.id });
      expect((await app.request(link.url)).status).toBe(status);
      await isFree(body);
    },
  );
});
