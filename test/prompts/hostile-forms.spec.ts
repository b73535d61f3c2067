import { All, Controller, Get, Param, Req } from '@nestjs/common';
import express from 'express';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions } from '../../lib/index.js';
import { send } from '../support/http-client.js';
import { connect, rawRequest } from '../support/raw-connection.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';
import { CHROME, post } from './support/browser-requests.js';

@Controller()
class FilesController {
  @Get('api/files')
  @StreamDownload({ challenge: (answer) => answer === 'right' })
  file(@Param() _params: object) {
    return Download.buffer(Buffer.from('the file'));
  }

  @All('api/any')
  any(@Req() { method, body, headers }: any) {
    return { method, body, type: headers['content-type'] };
  }
}

const segment = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const FORGED = [segment({ alg: 'HS256', typ: 'dl+jwt' }), segment({ ask: 'challenge' }), 'A'.repeat(43)].join(
  '.',
);

/** The head of a form of so many bytes. */
function head(url: string, length: number): string {
  const type = 'content-type: application/x-www-form-urlencoded';
  return `POST ${url} HTTP/1.1\r\nhost: a\r\n${type}\r\ncontent-length: ${length}\r\n\r\n`;
}

describe.each(ADAPTERS)('a form sent to a link, on %s,', (adapter) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({
      adapter,
      controllers: [FilesController],
      options: { secret: SECRET },
      fastify: { rewriteUrl: ({ url }: { url: string }) => url.replace(/^(\/cdn)?/, '/api') },
      configure(nest) {
        if (adapter === 'express') {
          nest.use((request: { url: string }, _response: unknown, next: () => void) => {
            request.url = request.url.replace(/^(\/cdn)?/, '/api');
            next();
          });
        }
      },
    });
  });
  afterAll(() => app.close());

  /** The URL of a link, as clients of {@link app} have it. */
  const mint = (options: CreateLinkOptions = { challenge: true }): string =>
    app
      .get(DownloadLinks)
      .create(FilesController, 'file', options)
      .url.replace(/^\/api/, '/cdn');

  it('is taken where the application rewrites URLs', async () => {
    expect((await app.request(mint(), post({ answer: 'right' }))).status).toBe(303);
  });

  it('is a GET without a body to every handler, whoever made its token', async () => {
    const answer = await app.request(`/any?ss-tok=${FORGED}`, post({ transfer: '1000' }));
    expect([answer.status, answer.json]).toEqual([200, { method: 'GET' }]);
  });

  it.each<[string, string, number, RegExp]>([
    ['the right answer', 'answer=right', 303, /^location: \?ss-tok=/im],
    ['a second answer behind the right one', 'answer=right&answer=wrong', 303, /^location: /im],
    ['a second answer behind a wrong one', 'answer=wrong&answer=right', 403, /CHALLENGE_FAILED/],
    ['an object', 'answer[a][b]=right', 403, /CHALLENGE_UNANSWERED/],
    ['nothing', '', 403, /CHALLENGE_UNANSWERED/],
    ['100 KB', `answer=${'x'.repeat(100_000)}`, 413, /Too Large/],
  ])('with %s is answered before the request that follows it', async (_what, body, status, says) => {
    const second = 'GET /any HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
    const answers = await rawRequest(app.port, head(mint(), body.length) + body + second);
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`, 'HTTP/1.1 200']);
    expect(answers).toMatch(says);
  });

  it('is not waited for without an end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const socket = await connect(app.port, `${head(mint(), 100)}answer=`);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    while (!socket.closed) {
      await new Promise(setImmediate);
      vi.advanceTimersByTime(10_000);
    }
    vi.useRealTimers();
    await closed;
    expect(socket.bytesRead).toBe(0);
  });

  it.each(['ss-prompt-', 'ss-lease-'])('leaves a browser no more than 40 cookies named %s…', async (kind) => {
    const old = Array.from({ length: 42 }, (_, index) => `${kind}${String(index).padStart(12, '0')}`);
    const request = { headers: { ...CHROME, cookie: old.map((name) => `${name}=x`).join('; ') } };
    const options = kind === 'ss-prompt-' ? { confirm: true } : { maxDownloads: 1 };
    const { headers } = await app.request(mint(options), request);
    const [set, ...removed] = headers['set-cookie']!;
    expect(set).toMatch(new RegExp(`^${kind}.*Max-Age=[1-9]`));
    expect(removed.map((line) => line.replace(/ HttpOnly.*/, ''))).toEqual(
      old.slice(0, 3).map((name) => `${name}=; Path=/cdn/files; Max-Age=0;`),
    );
  });
});

it('a form that was parsed in front of an Express application is taken', async () => {
  const app = await startApp({ adapter: 'express', controllers: [FilesController] });
  const outer = express().use(express.urlencoded(), app.app.getHttpAdapter().getInstance());
  const server = createServer(outer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { url } = app.get(DownloadLinks).create(FilesController, 'file', { challenge: true });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect((await send(origin + url, post({ answer: 'right' }))).status).toBe(303);
  server.close();
  await app.close();
});
