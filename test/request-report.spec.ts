import { Catch, Controller, Get, Param, UseFilters } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { DownloadEvents, DownloadRefusal, StreamDownload } from '../lib/index.js';
import type { DownloadEvent, DownloadLink, RefusedEvent } from '../lib/index.js';
import { accessToken } from './support/access-token.js';
import { compiledLibrary } from './support/compiled-library.js';
import { send } from './support/http-client.js';
import { until } from './support/until.js';
import { ADAPTERS, bearer, startApp } from './support/test-app.js';
import type { AdapterName } from './support/test-app.js';

const SERVER = fileURLToPath(new URL('./limits/support/server-process.mjs', import.meta.url));
/** Of the processes that server-process.mjs starts. */
const THEIR_SECRET = 'a secret that all processes of the test share';

beforeAll(() => void compiledLibrary(), 60_000);

interface Server {
  readonly port: number;
  readonly stderr: () => string;
  readonly mint: (options: object) => Promise<DownloadLink>;
}

/** Runs what the test does with an application in a process of its own, and ends that process. */
async function withServer(adapter: AdapterName, env: object, use: (server: Server) => Promise<void>) {
  const child: ChildProcess = fork(SERVER, [compiledLibrary(), JSON.stringify({ adapter })], {
    execArgv: [],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  });
  try {
    let stderr = '';
    child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    await once(child, 'message');
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    await use({
      port,
      stderr: () => stderr,
      mint: async (options) => {
        child.send({ do: 'mint', name: 'file', options });
        const [{ result }] = (await once(child, 'message')) as [{ result: DownloadLink }];
        return result;
      },
    });
  } finally {
    child.kill('SIGKILL');
  }
}

it.each(ADAPTERS)('NODE_DEBUG=download-auth prints one line a request on %s, without a token', (adapter) =>
  withServer(adapter, { NODE_DEBUG: 'download-auth' }, async ({ port, stderr, mint }) => {
    const token = accessToken({}, {}, THEIR_SECRET);
    const link = await mint({ maxDownloads: 1 });
    const asking = await mint({ confirm: true });
    const requests: [path: string, headers: Record<string, string>, line: RegExp][] = [
      ['/files/a', {}, /^GET FilesController\.file transport=none refused=TOKEN_MISSING status=401 bytes=0 /],
      [`/files/a?ss-tok=${token}x`, {}, /transport=query refused=TOKEN_INVALID status=401 bytes=0 /],
      [
        '/files/a',
        bearer(token),
        /transport=header granted=access status=200 bytes=20000 .*reason="no Range"$/,
      ],
      [
        '/files/a',
        { cookie: `ss-tok=${token}`, range: 'bytes=5-14' },
        /transport=cookie .*status=206 bytes=10 /,
      ],
      [
        '/files/a',
        { ...bearer(token), range: 'bytes=5-14', 'if-range': '"another"' },
        /granted=access status=200 bytes=20000 duration=\d+ms reason="If-Range did not match"$/,
      ],
      [
        '/files/missing',
        bearer(token),
        /status=404 bytes=0 .*reason="threw NotFoundException: ENOENT: .*'\/nowhere\/a\.txt'"$/,
      ],
      [link.url, {}, /transport=query granted=link status=200 bytes=20000 /],
      [link.url, { 'user-agent': 'another' }, /transport=query refused=LINK_USED_UP status=410 bytes=0 /],
      [asking.url, { accept: 'text/html' }, /transport=query prompted status=200 bytes=0 /],
      [asking.url, {}, /transport=query refused=LINK_UNCONFIRMED status=403 bytes=0 /],
      [
        '/guarded/a',
        { 'x-user': 'ada' },
        /transport=none granted=other by=HeaderGuard status=200 bytes=20000 /,
      ],
      ['/guarded/a', bearer(token), /transport=none refused by=HeaderGuard status=403 bytes=0 /],
    ];
    for (const [index, [path, headers, line]] of requests.entries()) {
      await send(`http://127.0.0.1:${port}${path}`, { headers });
      await until(() => stderr().split('\n').length > index + 1, 'the line of the request');
      const printed = stderr().trimEnd().split('\n');
      expect(printed).toHaveLength(index + 1);
      expect(printed.at(-1)!.replace(/^DOWNLOAD-AUTH \d+: /, '')).toMatch(line);
    }
    for (const secret of [token, link.token, asking.token, 'ss-tok', '?']) {
      expect(stderr()).not.toContain(secret);
    }
  }),
);

it('nothing is printed without NODE_DEBUG', () =>
  withServer('express', { NODE_DEBUG: '' }, async ({ port, stderr }) => {
    expect((await send(`http://127.0.0.1:${port}/files/a`)).status).toBe(401);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(stderr()).toBe('');
  }));

@Catch()
class ApplicationFilter implements ExceptionFilter {
  constructor(private readonly host: HttpAdapterHost) {}

  catch(error: Error, host: ArgumentsHost) {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), { teapot: error.message }, 418);
  }
}
Reflect.defineMetadata('design:paramtypes', [HttpAdapterHost], ApplicationFilter);

@Controller('files')
class FilesController {
  @Get(':outcome')
  @UseFilters(ApplicationFilter)
  @StreamDownload()
  download(@Param('outcome') outcome: string): never {
    throw outcome === 'refused' ? new DownloadRefusal('ACCESS_DENIED') : new Error('of the handler');
  }
}

it.each(ADAPTERS)(
  'a refusal is told once on %s, also where a filter of the application answers',
  async (adapter) => {
    const app = await startApp({ adapter, controllers: [FilesController] });
    try {
      const events: DownloadEvent[] = [];
      app.get(DownloadEvents).subscribe((event) => void events.push(event));
      const statuses = [];
      for (const [path, headers] of [
        ['/files/refused', {}],
        ['/files/refused', bearer(accessToken())],
        ['/files/broken', bearer(accessToken())],
      ] as const) {
        statuses.push((await app.request(path, { headers })).status);
      }
      expect(statuses).toEqual([418, 418, 418]);
      expect(events.map((event) => (event as RefusedEvent).code)).toEqual(['TOKEN_MISSING', 'ACCESS_DENIED']);
      expect(events[1]).toMatchObject({
        type: 'refused',
        subject: 'ada',
        transport: 'header',
        method: 'GET',
      });
    } finally {
      await app.close();
    }
  },
);
