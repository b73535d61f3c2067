/**
 * The server that is measured: one adapter, one algorithm, and on it the same small answer unguarded, behind
 * the recipe of Nest's documentation, and behind this package. Started by main.ts with the adapter and the
 * algorithm.
 */
import 'reflect-metadata';
import { Controller, Get, Header, Injectable, Module, UseGuards } from '@nestjs/common';
import type { CanActivate } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import jwt from 'jsonwebtoken';
import {
  Download,
  DownloadAuthGuard,
  DownloadAuthModule,
  DownloadLinks,
  StreamDownload,
} from 'nestjs-download-auth';
import type { DownloadAuthOptions } from 'nestjs-download-auth';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { Adapter, Algorithm, ServerCpu, ServerReady, Variant } from './variants.js';

const [adapter, algorithm] = process.argv.slice(2) as [Adapter, Algorithm];
const { verifying, signing } = keysOf(algorithm);
const LINK_SECRET = 'a secret for the links of the benchmark, long enough';

const PEOPLE = 5000;

const ANSWER = { ok: true };

const FOLDER = mkdtempSync(join(tmpdir(), 'bench-guard-'));
const SEGMENT = join(FOLDER, 'segment.ts');
writeFileSync(SEGMENT, Buffer.alloc(64 * 1024, 1));
process.once('exit', () => rmSync(FOLDER, { recursive: true }));

@Injectable()
class RecipeStrategy extends PassportStrategy(Strategy) {
  constructor() {
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      ignoreExpiration: false,
      secretOrKey: verifying,
    });
  }

  validate(payload: { sub: string }): unknown {
    return { userId: payload.sub };
  }
}

/** What Nest itself spends on calling any guard. */
class EmptyGuard implements CanActivate {
  async canActivate(): Promise<boolean> {
    return true;
  }
}

@Controller()
class BenchController {
  @Get('unguarded/:id')
  unguarded(): unknown {
    return ANSWER;
  }

  @Get('recipe/:id')
  @UseGuards(AuthGuard('jwt'))
  recipe(): unknown {
    return ANSWER;
  }

  @Get('ours/:id')
  @StreamDownload()
  ours(): unknown {
    return ANSWER;
  }

  @Get('segments/:id')
  @StreamDownload()
  segment(): Download {
    return Download.file(SEGMENT);
  }

  @Get('empty/:id')
  @UseGuards(EmptyGuard)
  empty(): unknown {
    return ANSWER;
  }

  @Get('headers/:id')
  @Header('Cache-Control', 'private, no-store, no-transform')
  @Header('Referrer-Policy', 'no-referrer')
  @Header('X-Content-Type-Options', 'nosniff')
  @Header('Cross-Origin-Resource-Policy', 'same-site')
  @Header(
    'Access-Control-Expose-Headers',
    'Content-Disposition, Content-Range, Accept-Ranges, ETag, Repr-Digest',
  )
  headers(): unknown {
    return ANSWER;
  }

  @Get('guard/:id')
  @UseGuards(DownloadAuthGuard)
  guard(): unknown {
    return ANSWER;
  }
}

@Controller()
class UnseenController {
  @Get('unseen/:id')
  @StreamDownload()
  ours(): unknown {
    return ANSWER;
  }
}

const KEYS: DownloadAuthOptions =
  algorithm === 'HS256'
    ? { secret: verifying }
    : { publicKey: verifying, algorithms: [algorithm], links: { secret: LINK_SECRET } };

@Module({
  imports: [DownloadAuthModule.forRoot({ ...KEYS, verifiedTokenCacheBytes: 0, isGlobal: false })],
  controllers: [UnseenController],
})
class UnseenModule {}

@Module({
  imports: [PassportModule, DownloadAuthModule.forRoot(KEYS), UnseenModule],
  controllers: [BenchController],
  providers: [RecipeStrategy],
})
class BenchModule {}

const app = await NestFactory.create(
  BenchModule,
  adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter(),
  { logger: ['error'] },
);
await app.listen(0, '127.0.0.1');

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send!({ cpu: user + system } satisfies ServerCpu);
});
process.on('disconnect', () => process.exit());
process.send!({
  port: (app.getHttpServer() as { address(): AddressInfo }).address().port,
  variants: variants(),
} satisfies ServerReady);

function variants(): Variant[] {
  const bearer = [{ authorization: `Bearer ${token(0)}` }];
  const people = Array.from({ length: PEOPLE }, (_, i) => ({ authorization: `Bearer ${token(i)}` }));
  const answer = linksTo('ours');
  const segment = linksTo('segment');
  return [
    { name: 'unguarded', path: '/unguarded/42', headers: bearer },
    { name: 'empty guard', path: '/empty/42', headers: bearer },
    { name: 'headers', path: '/headers/42', headers: bearer },
    { name: 'recipe', path: '/recipe/42', headers: bearer },
    { name: 'ours', path: '/ours/42', headers: bearer },
    { name: 'ours, 5,000', path: '/ours/42', headers: people },
    { name: 'ours, unseen', path: '/unseen/42', headers: bearer },
    { name: 'guard alone', path: '/guard/42', headers: bearer },
    { name: 'by cookie', path: '/ours/42', headers: [{ cookie: `ss-tok=${token(0)}` }] },
    { name: 'by query', path: `/ours/42?ss-tok=${token(0)}`, headers: [{}] },
    { name: 'by link', path: answer.link, headers: [{}] },
    { name: 'collection', path: answer.collection, headers: [answer.companion] },
    { name: 'uncookied', path: answer.collection, headers: [{}] },
    { name: 'companion', path: '/ours/42', headers: [answer.companion] },
    { name: 'segment by link', path: segment.link, headers: [{}] },
    { name: 'segment, collection', path: segment.collection, headers: [segment.companion] },
    { name: 'segment, uncookied', path: segment.collection, headers: [{}] },
    { name: 'segment, companion', path: '/segments/42', headers: [segment.companion] },
  ];
}

/** The URL of a link, that of a collection's link, and the cookie for which that is exchanged. */
function linksTo(handler: 'ours' | 'segment'): {
  link: string;
  collection: string;
  companion: { cookie: string };
} {
  const links = app.get(DownloadLinks);
  const options = { params: { id: 42 }, expiresIn: '1h' } as const;
  const link = links.create(BenchController, handler, options);
  const collection = links.create(BenchController, handler, { ...options, free: ['id'] });
  const digest = links.resource(BenchController, handler, { free: ['id'] });
  const companion = { cookie: `ss-open-${digest.slice(0, 12)}=${collection.token}` };
  return { link: link.url, collection: collection.url, companion };
}

function token(number: number): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    sub: 'ada',
    name: 'Ada Lovelace',
    roles: ['reader'],
    jti: String(number),
    iat: now,
    exp: now + 3600,
  };
  return jwt.sign(claims, signing, { algorithm });
}

function keysOf(name: Algorithm): { verifying: string; signing: string } {
  if (name === 'HS256') {
    const secret = 'a secret for the benchmark that is long enough to be one';
    return { verifying: secret, signing: secret };
  }
  const { publicKey, privateKey } =
    name === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    verifying: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    signing: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
