import { Catch, Controller, Get, NotFoundException, Param } from '@nestjs/common';
import type { ArgumentsHost } from '@nestjs/common';
import { APP_FILTER, BaseExceptionFilter } from '@nestjs/core';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Download, DownloadLinks, redactUrl, StreamDownload } from '../../lib/index.js';
import { send, start as request } from '../support/http-client.js';
import { FollowModule, messagesIn } from '../support/link-messages.js';
import { until } from '../support/until.js';
import { temporaryFolder } from '../support/files.js';
import { freePort, isInstalled, stop } from '../support/programs.js';
import { expectNoTrace } from '../support/refusal.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const PAGE = readFileSync(new URL('../../docs/deployment.md', import.meta.url), 'utf8');
const [KEEPING = '', STRIPPING = ''] = [...PAGE.matchAll(/```nginx\n(.*?)```/gs)].map(([, text]) => text);

const NAMES = [
  '42',
  'a/b',
  '100%',
  '%2F',
  '100%41',
  'a b+c',
  'Grüße 🏔.txt',
  'a?b=c&d#e',
  "it's;x=(1)",
  '..%2f..',
];

@Controller('files')
class FilesController {
  @Get(':name')
  @StreamDownload()
  file(@Param('name') name: string) {
    return Download.buffer(Buffer.from(name));
  }
}

/** The filter of the recipe. */
@Catch(NotFoundException)
class NotFoundFilter extends BaseExceptionFilter {
  override catch(exception: NotFoundException, host: ArgumentsHost) {
    super.catch(new NotFoundException(redactUrl(exception.message)), host);
  }
}

describe.skipIf(!isInstalled('nginx', '-v')).each(ADAPTERS)(
  'behind nginx as the recipe has it, on %s',
  (adapter) => {
    const folder = temporaryFolder();
    const apps: TestApp[] = [];
    const started: ChildProcess[] = [];

    async function start(recipe: string, publicPath: string, globalPrefix: string) {
      const port = await freePort();
      const app = await startApp({
        adapter,
        controllers: [FilesController],
        imports: [FollowModule],
        providers: [{ provide: APP_FILTER, useClass: NotFoundFilter }],
        options: { secret: SECRET, links: { publicUrl: `http://127.0.0.1:${port}${publicPath}` } },
        configure: (it) => {
          if (adapter === 'express') {
            it.set('trust proxy', 'loopback');
          }
          it.setGlobalPrefix(globalPrefix);
        },
        fastify: { trustProxy: 'loopback' },
      });
      apps.push(app);
      const [map = '', location = ''] = recipe.includes('map ')
        ? recipe.split(/(?=^location)/m)
        : ['', recipe];
      const config = join(folder.path, `${port}.conf`);
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${folder.path}/${port}-${name};`,
      );
      writeFileSync(
        config,
        `daemon off; master_process off; pid ${folder.path}/${port}.pid; error_log stderr crit;
       events { worker_connections 64; }
       http {
         access_log off; ${temporary.join(' ')}
         ${map}
         server { listen 127.0.0.1:${port}; ${location.replaceAll('127.0.0.1:3000', `127.0.0.1:${app.port}`)} }
       }`,
      );
      started.push(spawn('nginx', ['-p', folder.path, '-c', config], { stdio: 'inherit' }));
      let listening = false;
      const knock = () => {
        const socket = net.connect(port, '127.0.0.1', () => ((listening = true), socket.destroy()));
        socket.on('error', () => {});
      };
      await until(() => (knock(), listening), 'nginx');
      return { app, url: `http://127.0.0.1:${port}`, links: app.get(DownloadLinks) };
    }
    afterAll(async () => {
      await Promise.all(started.map(stop));
      await Promise.all(apps.map((app) => app.close()));
      folder.remove();
    });

    let site: Awaited<ReturnType<typeof start>>;
    describe.each([
      ['that keeps the prefix', KEEPING, '', 'api'],
      ['that strips the prefix', STRIPPING, '/api', ''],
    ])('%s', (_name, recipe, publicPath, globalPrefix) => {
      beforeAll(async () => {
        site = await start(recipe, publicPath, globalPrefix);
      });

      it.each(NAMES)('a link opens for a parameter as hard as %j', async (name) => {
        const { url } = site.links.create(FilesController, 'file', { params: { name } });
        const { pathname, search } = new URL(url);
        expect(pathname).toMatch(/^\/api\/files\//);
        const answer = await send(site.url + pathname + search);
        expect([answer.status, answer.text]).toEqual([200, name]);
      });

      it('a client does not choose its address', async () => {
        const { url } = site.links.create(FilesController, 'file', {
          params: { name: '42' },
          bindTo: { addresses: '192.0.2.0/24' },
        });
        const { pathname, search } = new URL(url);
        const answer = await send(site.url + pathname + search, {
          headers: { 'x-forwarded-for': '192.0.2.1' },
        });
        expect(answer.json.code).toBe('LINK_ADDRESS');
      });

      it('a page that follows a link hears at once what happens to it', async () => {
        const { id, url } = site.links.create(FilesController, 'file', { params: { name: '42' } });
        const followed = await request(`${site.url}/api/links/${id}/events`);
        const heard = (type: string) => until(() => messagesIn(followed).at(-1)?.type === type, type);
        await heard('waiting');
        const { pathname, search } = new URL(url);
        await send(site.url + pathname + search);
        await heard('completed');
        expect(messagesIn(followed).at(-1)?.data).toMatchObject({ bytes: 2, percent: 100 });
        followed.leave();
      });

      it('a 404 of the framework does not show the token', async () => {
        const { token } = site.links.create(FilesController, 'file', { params: { name: '42' } });
        const answer = await send(`${site.url}/api/nothing/here?ss-tok=${token}`);
        expect([answer.status, answer.json.message]).toEqual([
          404,
          expect.stringMatching(/^Cannot GET .*\/nothing\/here\?ss-tok=REDACTED$/),
        ]);
        expectNoTrace(answer.text, token);
      });

      it.each(['/api/../api/files/42', '//api/files/42', '/%61pi/files/42'])(
        'another spelling of the prefix reaches no file: %s',
        async (path) => {
          const { token } = site.links.create(FilesController, 'file', { params: { name: 'other' } });
          const answer = await send(`${site.url}${path}?ss-tok=${token}`);
          expect([403, 404]).toContain(answer.status);
        },
      );
    });
  },
);
