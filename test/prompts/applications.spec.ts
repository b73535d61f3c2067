import { Body, Catch, Controller, Get, HttpException, Param, Post } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type { CreateLinkOptions, DownloadAuthOptions } from '../../lib/index.js';
import { send } from '../support/http-client.js';
import type { Answer } from '../support/http-client.js';
import { MemoryLogger } from '../support/memory-logger.js';
import { expectRefusal } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { AdapterName, TestApp, TestAppOptions } from '../support/test-app.js';
import { CHROME, cookiesOf, fieldsOf, post } from './support/browser-requests.js';

const CURL = { 'user-agent': 'curl/8.5.0', accept: '*/*' };

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload({ challenge: (answer) => answer === 'route' })
  file(@Param('id') id: string) {
    return Download.buffer(Buffer.from(`file ${id}`));
  }

  @Get('plain/:id')
  @StreamDownload()
  plain(@Param('id') id: string) {
    return Download.buffer(Buffer.from(`plain ${id}`));
  }

  @Get('folders/:folder/:name')
  @StreamDownload({ challenge: (answer) => answer === 'folder' })
  inFolder(@Param('name') name: string) {
    return Download.buffer(Buffer.from(`in the folder: ${name}`));
  }

  @Post(':id')
  own(@Param('id') id: string, @Body() body: unknown) {
    return { own: id, body };
  }

  @Post('forms/:id')
  @StreamDownload({ transports: { form: true } })
  form() {
    return Download.buffer(Buffer.from('form'));
  }
}

@Catch()
class Envelope implements ExceptionFilter {
  catch(error: HttpException & { code?: string }, host: ArgumentsHost): void {
    const response = host
      .switchToHttp()
      .getResponse<{ status(code: number): { send(body: object): void } }>();
    response.status(error.getStatus()).send({ own: error.code });
  }
}

let app: TestApp;
afterEach(() => app.close());

async function start(
  adapter: AdapterName,
  options: DownloadAuthOptions = {},
  more: Partial<TestAppOptions> = {},
): Promise<void> {
  app = await startApp({
    adapter,
    controllers: [FilesController],
    options: { secret: SECRET, ...options },
    ...more,
  });
}

function mint(options: CreateLinkOptions, handler: 'file' | 'plain' | 'form' = 'file') {
  return app.get(DownloadLinks).create(FilesController, handler, { params: { id: '42' }, ...options });
}

/** Presses the button of a page. */
function press(url: string, page: Answer): Promise<Answer> {
  const headers = { ...CHROME, 'sec-fetch-user': '?1', cookie: cookiesOf(page) };
  return send(url, post(fieldsOf(page), headers));
}

describe.each(ADAPTERS)('on %s, a link that asks first works in an application', (adapter) => {
  it('without a body parser', async () => {
    await start(adapter, {}, { nest: { bodyParser: false } });
    const { url } = mint({ challenge: true });
    expect((await app.request(url, post({ answer: 'route' }, CURL))).status).toBe(303);
    expectRefusal(await app.request(url, post({ answer: 'wrong' }, CURL)), 403, 'CHALLENGE_FAILED');
  });

  it('with a handler of its own for POST', async () => {
    await start(adapter);
    const { url, token } = mint({ challenge: true });
    expect((await app.request('/files/42', post({ a: '1' }))).json).toEqual({ own: '42', body: { a: '1' } });
    expect((await app.request('/files/42?ss-tok=mine', post({ a: '1' }))).json).toMatchObject({ own: '42' });
    const json = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' };
    expect((await app.request(`/files/42?ss-tok=${token}`, json)).json).toMatchObject({ body: { a: 1 } });
    expect((await app.request(url, post({ answer: 'route' }))).status).toBe(303);
  });

  it('by another server than its own', async () => {
    await start(adapter);
    const { url } = mint({ challenge: true });
    const { method, headers, body } = post({ answer: 'route' });
    const instance = app.app.getHttpAdapter().getInstance();
    if (adapter === 'fastify') {
      expect((await instance.inject({ method, url, headers, payload: body })).statusCode).toBe(303);
      return;
    }
    const other = createServer(instance);
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    expect((await send(`http://127.0.0.1:${port}${url}`, { method, headers, body })).status).toBe(303);
    other.close();
  });

  it.skipIf(adapter === 'fastify')('from a cloud function that has read the form', async () => {
    await start(adapter);
    const { url } = mint({ challenge: true });
    const instance = app.app.getHttpAdapter().getInstance();
    const other = createServer((request, response) => {
      void request.toArray().then((chunks) => {
        instance(Object.assign(request, { body: Buffer.concat(chunks) }), response);
      });
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const ask = (answer: string) => send(`http://127.0.0.1:${port}${url}`, post({ answer }));
    expect((await ask('route')).status).toBe(303);
    expectRefusal(await ask('wrong'), 403, 'CHALLENGE_FAILED');
    other.close();
  });

  it('behind a proxy that strips a prefix, below a global prefix', async () => {
    let port = 0;
    const proxy = createServer((incoming, outgoing) => {
      const { method, headers } = incoming;
      const path = incoming.url!.replace(/^\/cdn/, '');
      const sent = sendRequest({ port, path, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(sent);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const publicUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/cdn`;
    await start(adapter, { links: { publicUrl } }, { configure: (nest) => void nest.setGlobalPrefix('api') });
    port = app.port;
    const { url } = mint({ confirm: true });
    const page = await send(url, { headers: CHROME });
    const pressed = await press(url, page);
    expect(pressed.headers['set-cookie']?.[0]).toContain('; Path=/cdn/api/files/42;');
    const next = new URL(pressed.headers.location!, url).href;
    expect((await send(next, { headers: { ...CHROME, cookie: cookiesOf(pressed) } })).text).toBe('file 42');
    proxy.closeAllConnections();
    proxy.close();
  });

  it.each(['confirm', 'challenge'] as const)('for a whole collection, once, with %s', async (asks) => {
    await start(adapter);
    const options = { free: ['name'], exchange: 'redirect', [asks]: true } as const;
    const params = { folder: '7', name: 'a' };
    const link = app.get(DownloadLinks).create(FilesController, 'inFolder', { params, ...options });
    const page = await app.request(link.url, { headers: CHROME });
    const answered = { ...CHROME, 'sec-fetch-user': '?1', cookie: cookiesOf(page) };
    const pressed = await app.request(link.url, post({ ...fieldsOf(page), answer: 'folder' }, answered));
    expect(pressed.headers['set-cookie']?.[0]).toContain('; Path=/files/folders/7;');
    const passed = cookiesOf(pressed);
    const opened = await app.request(link.url, { headers: { ...CHROME, cookie: passed } });
    expect([opened.status, opened.headers.location]).toEqual([303, './a']);
    const companion = cookiesOf(opened);
    const other = (cookie: string) => app.request('/files/folders/7/b', { headers: { cookie } });
    expect((await other(`${companion}; ${passed}`)).text).toBe('in the folder: b');
    const code = asks === 'confirm' ? 'LINK_UNCONFIRMED' : 'CHALLENGE_UNANSWERED';
    expectRefusal(await other(companion), 403, code);
  });

  it('that answers refusals itself: pages stay ours, programs hear from the application', async () => {
    const providers = [{ provide: APP_FILTER, useClass: Envelope }];
    await start(adapter, { refusals: 'throw' }, { providers });
    const confirmed = mint({ confirm: true });
    const page = await app.request(confirmed.url, { headers: CHROME });
    expect([page.status, page.text.includes('<button>')]).toEqual([200, true]);
    expect((await press(app.url + confirmed.url, page)).headers.location).toContain('?ss-tok=');
    const { url } = mint({ challenge: true });
    const again = await app.request(url, post({ answer: 'wrong' }, CHROME));
    expect([again.status, again.text.includes('role="alert"')]).toEqual([403, true]);
    const program = await app.request(url, post({ answer: 'wrong' }, CURL));
    expect([program.status, program.json]).toEqual([403, { own: 'CHALLENGE_FAILED' }]);
  });

  it('with pages and texts of its own', async () => {
    const page: NonNullable<DownloadAuthOptions['prompts']>['page'] = ({
      asks,
      grant,
      fields,
      problem,
      request,
    }) =>
      Promise.resolve(
        [asks, grant.link.filename, Object.keys(fields), problem?.code, request.params.id].join(' '),
      );
    await start(adapter, { prompts: { page } });
    const confirmed = mint({ confirm: true, filename: 'a.pdf' });
    expect((await app.request(confirmed.url, { headers: CHROME })).text).toBe(
      'confirmation a.pdf ss-prompt  42',
    );
    const { url } = mint({ challenge: true });
    expect((await app.request(url, post({ answer: 'wrong' }, CHROME))).text).toBe(
      'answer   CHALLENGE_FAILED 42',
    );
    await app.close();

    const texts = (request: any) =>
      request.headers['accept-language'] === 'de'
        ? { lang: 'de', confirmTitle: 'Bereit <1>', expires: 'Gilt bis {date}.' }
        : {};
    await start(adapter, { prompts: { texts } });
    const link = mint({ confirm: true, expiresAt: new Date(Date.now() + 60_000) });
    const german = (await app.request(link.url, { headers: { ...CHROME, 'accept-language': 'de' } })).text;
    expect(german).toMatch(
      /<html lang="de">.*<title>Bereit &#60;1&#62;<\/title>.*<main dir="auto">.*Gilt bis \d+\. \p{L}+ \d{4}/su,
    );
    expect((await app.request(link.url, { headers: CHROME })).text).toMatch(/<html lang="en">/);
  });

  it('whose page fails: the built-in one is shown, and the log says why', async () => {
    const logger = new MemoryLogger();
    await start(
      adapter,
      { prompts: { texts: () => Promise.reject(new Error('no translation')) } },
      { logger },
    );
    const page = await app.request(mint({ confirm: true }).url, { headers: CHROME });
    expect([page.status, page.text.includes('Your download is ready')]).toEqual([200, true]);
    expect(logger.text).toMatch(/prompts\.texts failed \(no translation\)/);
  });

  it("with auth: 'links', and a challenge of the module where the route has none", async () => {
    await start(adapter, { auth: 'links', challenge: (answer) => answer === 'module' });
    for (const [handler, right, wrong] of [
      ['file', 'route', 'module'],
      ['plain', 'module', 'route'],
    ] as const) {
      const { url } = mint({ challenge: true }, handler);
      expectRefusal(await app.request(url, post({ answer: wrong }, CURL)), 403, 'CHALLENGE_FAILED');
      expect((await app.request(url, post({ answer: right }, CURL))).status).toBe(303);
    }
  });

  it('that has its function no more: an error of the server, which says what to write', async () => {
    const logger = new MemoryLogger();
    await start(adapter, { challenge: () => true });
    const { url } = mint({ challenge: true }, 'plain');
    await app.close();
    await start(adapter, {}, { logger });
    expect((await app.request(url, post({ answer: 'right' }, CURL))).status).toBe(500);
    expect(logger.text).toMatch(/Write challenge: \(answer, grant\) =>/);
  });

  it('and one that asks for nothing is not served by POST', async () => {
    await start(adapter);
    const { url } = mint({}, 'plain');
    expect((await app.request(url, post({ answer: '' }, CURL))).status).toBe(404);
  });

  it.each<[string, CreateLinkOptions, RegExp, 'file' | 'plain' | 'form']>([
    ['challenge without a function', { challenge: true }, /Write challenge: \(answer, grant\)/, 'plain'],
    ['confirm and challenge', { confirm: true, challenge: true }, /Leave confirm out/, 'file'],
    ['confirm with reuseWithin', { confirm: 'browsers', reuseWithin: '10m' }, /cannot have confirm/, 'file'],
    ['challenge with reuseWithin', { challenge: true, reuseWithin: '10m' }, /cannot have challenge/, 'file'],
    ['confirm of a form', { confirm: true }, /opened by a form of yours/, 'form'],
    ['another word', { confirm: 'browser' as never }, /did you mean 'browsers'/, 'file'],
    ['the claim in claims', { claims: { ask: 'confirm' } }, /claims\.ask: this name is reserved/, 'file'],
  ])('is not minted with %s', async (_mistake, options, advice, handler) => {
    await start(adapter);
    expect(() => mint(options, handler)).toThrow(advice);
    expect(() => mint({ confirm: false, challenge: false, reuseWithin: '10m' })).not.toThrow();
  });

  it.each<[DownloadAuthOptions, RegExp]>([
    [{ prompts: { wrongAnswers: 0 } }, /prompts\.wrongAnswers: write a whole number from 1 to 1000/],
    [{ prompts: { blockFor: 0 } }, /prompts\.blockFor: 0 would never block/],
    [{ prompts: { text: {} } as never }, /Did you mean "texts"/],
    [{ challenge: true as never }, /challenge: give a function/],
  ])('does not start with %o', async (options, advice) => {
    await start(adapter);
    await expect(
      startApp({ adapter, controllers: [], options: { secret: SECRET, ...options } }),
    ).rejects.toThrow(advice);
  });
});
