/**
 * What a consumer writes: compiled and run by the smoke test as ESM and as CommonJS, against the packed
 * tarball.
 */
import 'reflect-metadata';
import { Controller, Get, Module, Param, StreamableFile } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  DownloadAuthModule,
  DownloadLinks,
  DownloadRefusal,
  Grant,
  redactUrl,
  StreamDownload,
} from 'nestjs-download-auth';
import type { DownloadAuthOptions, DownloadGrant } from 'nestjs-download-auth';
import { createHmac } from 'node:crypto';
import type { AddressInfo } from 'node:net';

const SECRET = 'a secret for tests that is long enough to be one';
const FILE = Buffer.alloc(100_000, 'download ');

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload({ requireSecureConnection: false })
  download(@Param('id') id: string, @Grant() grant: DownloadGrant): StreamableFile {
    if (id !== '42' || grant.subject !== 'ada') {
      throw new DownloadRefusal('ACCESS_DENIED');
    }
    return new StreamableFile(FILE);
  }
}

class OptionsFactory {
  createDownloadAuthOptions(): DownloadAuthOptions {
    return { secret: SECRET, links: { expiresIn: '1m' } };
  }
}

@Module({
  imports: [DownloadAuthModule.forRootAsync({ useClass: OptionsFactory })],
  controllers: [FilesController],
})
class AppModule {}

function accessToken(): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'HS256' })}.${encode({ sub: 'ada', exp: Date.now() / 1000 + 60 })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

async function download(url: string, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(url, { headers });
  const body = Buffer.from(await answer.arrayBuffer());
  const what = body.equals(FILE) ? 'the file' : (JSON.parse(body.toString()) as { code: string }).code;
  console.log(`${answer.status} ${what}`);
}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  const links: DownloadLinks = app.get(DownloadLinks);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  const base = `http://127.0.0.1:${port}`;
  const link = links.create(FilesController, 'download', { params: { id: '42' }, subject: 'ada' });

  await download(`${base}/files/42`);
  await download(`${base}/files/42`, { authorization: `Bearer ${accessToken()}` });
  await download(base + link.url);
  console.log(redactUrl(link.url));
  await app.close();
}

void main();
