import {
  Controller,
  Get,
  Param,
  Req,
  RequestTimeoutException,
  StreamableFile,
  UseInterceptors,
} from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { catchError, concat, delay, of, throwError, timeout, TimeoutError } from 'rxjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Download, StreamDownload } from '../../lib/index.js';
import type { DownloadEnd } from '../../lib/index.js';
import { accessToken } from '../support/access-token.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { ADAPTERS, bearer, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { connect } from '../support/raw-connection.js';
import { until } from '../support/until.js';
import { COUNTS_DESCRIPTORS, openDescriptors, temporaryFolder } from '../support/files.js';

const folder = temporaryFolder();
const path = folder.file('big.bin', Buffer.alloc(24 * 1024 * 1024));
afterAll(() => folder.remove());

/** As Nest's documentation has it. */
class TimeoutInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(
      timeout(60),
      catchError((error: unknown) =>
        throwError(() => (error instanceof TimeoutError ? new RequestTimeoutException() : error)),
      ),
    );
  }
}

/** As one that writes to a database before the answer goes out. */
class DelayInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(delay(100));
  }
}

const ends: DownloadEnd[] = [];
const onEnd = (end: DownloadEnd) => ends.push(end);
let rejections = 0;
const slowSource = () =>
  Download.source(
    {
      length: 5,
      open: async () => {
        await setTimeout(200);
        return Readable.from(['12345']);
      },
    },
    { onEnd },
  );
const contents: Record<string, () => unknown> = {
  source: slowSource,
  failing: () =>
    Download.source(
      {
        length: 5,
        open: async () => {
          await setTimeout(200);
          throw new Error('too late');
        },
      },
      { onEnd },
    ),
  handler: async () => {
    await setTimeout(200);
    return Download.file(path, { onEnd });
  },
  stream: async () => {
    await setTimeout(200);
    const stream = createReadStream(path);
    stream.on('close', () => onEnd({ completed: false, bytes: 0 }));
    return new StreamableFile(stream);
  },
  fast: () => Download.file(path, { onEnd }),
  several: () =>
    concat(
      of(new StreamableFile(createReadStream(path)), Download.file(path, { onEnd })),
      of(Download.buffer(Buffer.from('the last'), { onEnd })).pipe(delay(20)),
    ),
};

@Controller()
class FilesController {
  @Get('outside/:name')
  @StreamDownload()
  @UseInterceptors(TimeoutInterceptor)
  outside(@Param('name') name: string) {
    return contents[name]!();
  }

  @Get('delayed/:name')
  @StreamDownload()
  @UseInterceptors(DelayInterceptor)
  delayed(@Param('name') name: string, @Req() request: Readable & { raw?: Readable }) {
    // A body parser reads the request to its end
    (request.raw ?? request).resume();
    return contents[name]!();
  }

  @Get('inside/:name')
  @UseInterceptors(TimeoutInterceptor)
  @StreamDownload()
  inside(@Param('name') name: string) {
    return contents[name]!();
  }
}

describe.each(ADAPTERS)('on %s', (adapter) => {
  let app: TestApp;
  const logger = new MemoryLogger();
  const note = () => void rejections++;
  beforeAll(async () => {
    process.on('unhandledRejection', note);
    app = await startApp({ adapter, controllers: [FilesController], logger });
  });
  afterAll(async () => {
    process.off('unhandledRejection', note);
    await app.close();
  });
  afterEach(async () => {
    if (COUNTS_DESCRIPTORS) {
      await until(() => openDescriptors(folder.path) === 0, 'the freeing of every descriptor');
    }
    ends.splice(0);
    expect(rejections).toBe(0);
  });

  const complaints = () => logger.lines.filter((line) => /^(error|warn|fatal)/.test(line));
  it.each([
    ['outside', 'source', 408],
    ['outside', 'failing', 408],
    ['outside', 'handler', 408],
    ['outside', 'stream', 408],
    ['inside', 'handler', 408],
    ['inside', 'stream', 408],
    // The handler itself answered in time
    ['inside', 'source', 200],
  ])(
    'with a TimeoutInterceptor %s ours, a slow %s is %s, and nothing follows',
    async (place, name, status) => {
      logger.lines.splice(0);
      const answer = await app.request(`/${place}/${name}`, { headers: bearer(accessToken()) });
      expect(answer.status).toBe(status);
      await setTimeout(300);
      expect(complaints()).toEqual([]);
      expect(answer.headers['content-disposition'] === undefined).toBe(status === 408);
    },
  );

  it('of several files that a handler emits, the last is delivered', async () => {
    const answer = await app.request('/inside/several', { headers: bearer(accessToken()) });
    expect([answer.text, answer.headers['cache-control']]).toEqual([
      'the last',
      'private, no-store, no-transform',
    ]);
    await until(() => ends.length > 1, 'both ends');
    ends.sort((a, b) => a.bytes - b.bytes);
    expect(ends).toEqual([
      { completed: false, bytes: 0 },
      { completed: true, bytes: 8 },
    ]);
  });

  it.each([1, 10])(
    'a client that leaves while an interceptor waits leaves nothing in the log: %i',
    async (n) => {
      logger.lines.splice(0);
      const { authorization } = bearer(accessToken());
      const request = `GET /delayed/fast HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`;
      const socket = await connect(app.port, request.repeat(n));
      await until(() => openDescriptors(folder.path) >= n, 'the opening of every file');
      socket.destroy();
      await until(() => ends.length === n, 'the end of every answer');
      await setTimeout(200);
      expect(complaints()).toEqual([]);
    },
  );

  it('a client that leaves with requests in its pipeline leaves nothing in the log', async () => {
    logger.lines.splice(0);
    const request = `GET /inside/fast HTTP/1.1\r\nHost: x\r\nAuthorization: ${bearer(accessToken()).authorization}\r\n\r\n`;
    for (let i = 0; i < 5; i++) {
      const socket = await connect(app.port, request.repeat(10));
      await new Promise((resolve) => socket.once('data', resolve));
      if (i % 2) {
        await until(() => ends.length > 0 || openDescriptors(folder.path) > 3);
        socket.resetAndDestroy();
      } else {
        socket.destroy();
      }
    }
    await until(() => ends.length >= 5, 'the end of the answers');
    await setTimeout(200);
    expect(complaints()).toEqual([]);
  });
});
