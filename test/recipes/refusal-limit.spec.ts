import { Controller, Get, HttpException, Injectable, UseGuards } from '@nestjs/common';
import type { CanActivate, ExecutionContext, OnModuleInit } from '@nestjs/common';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { afterEach, expect, it } from 'vitest';
import { Download, DownloadEvents, DownloadLinks, StreamDownload } from '../../lib/index.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

const REFUSALS_A_MINUTE = 20;

/** The guard of the recipe. */
@Injectable()
export class RefusalLimit implements CanActivate, OnModuleInit {
  private readonly refusals = new RateLimiterMemory({ points: REFUSALS_A_MINUTE, duration: 60 });

  constructor(private readonly events: DownloadEvents) {}

  onModuleInit() {
    this.events.subscribe((event) => {
      if (event.type === 'refused' && /^(TOKEN|LINK)_INVALID$/.test(event.code) && event.address) {
        this.refusals.consume(event.address).catch(() => undefined); // over the limit already
      }
    });
  }

  async canActivate(context: ExecutionContext) {
    const http = context.switchToHttp();
    const found = await this.refusals.get(http.getRequest().ip);
    if (!found || found.consumedPoints < REFUSALS_A_MINUTE) {
      return true;
    }
    http.getResponse().header('Retry-After', String(Math.ceil(found.msBeforeNext / 1000)));
    throw new HttpException('Too many links that were not genuine. Try again in a minute.', 429);
  }
}

@Controller('files')
@UseGuards(RefusalLimit)
class FilesController {
  @Get('42')
  @StreamDownload()
  file() {
    return Download.buffer(Buffer.from('the file'));
  }
}

let app: TestApp;
let good: string;
const start = async (adapter: (typeof ADAPTERS)[number]) => {
  app = await startApp({
    adapter,
    controllers: [FilesController],
    providers: [RefusalLimit],
    options: { secret: SECRET },
    configure: (it) => void (adapter === 'express' && it.set('trust proxy', 'loopback')),
    fastify: { trustProxy: 'loopback' },
  });
  good = app.get(DownloadLinks).create(FilesController, 'file').url;
};
afterEach(() => app.close());

const ask = (url: string, address: string) => app.request(url, { headers: { 'x-forwarded-for': address } });
const guess = (n: number, address: string) =>
  ask(`${good.slice(0, -6)}${String(n).padStart(6, 'A')}`, address);

it.each(ADAPTERS)(
  'a client that guesses links is stopped after a number of refusals, and no other client, on %s',
  async (adapter) => {
    await start(adapter);
    for (let n = 0; n < REFUSALS_A_MINUTE; n++) {
      expect((await guess(n, '192.0.2.1')).status).toBe(403);
    }
    const stopped = await guess(99, '192.0.2.1');
    expect(stopped.status).toBe(429);
    expect(Number(stopped.headers['retry-after'])).toBeGreaterThan(0);
    expect((await ask(good, '192.0.2.1')).status).toBe(429);
    expect((await ask(good, '192.0.2.2')).status).toBe(200);
  },
);

it.each(ADAPTERS)(
  'who opens what is expired or asks without a token is not stopped, on %s',
  async (adapter) => {
    await start(adapter);
    for (let n = 0; n <= REFUSALS_A_MINUTE; n++) {
      expect((await ask('/files/42', '192.0.2.1')).status).toBe(401);
      expect((await ask(good.replace('42', '42?x=1&').replace('&?', '&'), '192.0.2.1')).json.code).toBe(
        'LINK_SCOPE',
      );
    }
    expect((await ask(good, '192.0.2.1')).status).toBe(200);
  },
);
