import { Controller, Get, Param } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { Download, DownloadAuthModule, DownloadLinks, StreamDownload } from '../../lib/index.js';
import { ADAPTERS, SECRET } from '../support/test-app.js';
import { send } from '../support/http-client.js';

@Controller('files')
class FilesController {
  @Get(':id')
  @StreamDownload()
  download(@Param('id') id: string) {
    return Download.buffer(Buffer.from(`file ${id}`));
  }
}

it.each(ADAPTERS)('links of a testing module open, with maxDownloads too, on %s', async (adapter) => {
  const module = await Test.createTestingModule({
    imports: [DownloadAuthModule.forRoot({ secret: SECRET })],
    controllers: [FilesController],
  }).compile();
  const app = module.createNestApplication(
    adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter({ forceCloseConnections: true }),
  );
  try {
    app.setGlobalPrefix('api');
    await app.listen(0, '127.0.0.1');
    const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
    const origin = `http://127.0.0.1:${port}`;
    const links = app.get(DownloadLinks);
    const { url } = links.create(FilesController, 'download', { params: { id: '42' }, maxDownloads: 1 });
    const answer = await send(origin + url);
    expect([answer.status, answer.text]).toEqual([200, 'file 42']);
    expect((await send(`${origin}/api/files/42`)).json.code).toBe('TOKEN_MISSING');
  } finally {
    await app.close();
  }
});
