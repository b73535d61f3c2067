import { Controller, Get, Req } from '@nestjs/common';
import { Grant, StreamDownload } from '../../lib/index.js';
import type { DownloadGrant } from '../../lib/index.js';

/** A download that tells who it thinks is asking. */
@Controller('files')
export class HelloController {
  @Get(':id')
  @StreamDownload()
  get(@Grant() grant: DownloadGrant, @Req() request: { user: unknown }): unknown {
    return { grant, user: request.user };
  }
}
