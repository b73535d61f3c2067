import {
  Controller,
  ForbiddenException,
  Get,
  Headers,
  NotFoundException,
  Param,
  Post,
  Query,
  Req,
  Res,
  UseGuards,
} from '@nestjs/common';
import type { Response } from 'express';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MemberGuard, VisitorGuard } from '../guards.js';
import type { WikiRequest } from '../guards.js';
import { Pages } from '../pages.js';
import { AttachmentTokens } from './attachment-tokens.js';

@Controller('pages/:page/attachments')
export class AttachmentsController {
  constructor(
    private readonly pages: Pages,
    private readonly tokens: AttachmentTokens,
  ) {}

  @Get(':id')
  @UseGuards(VisitorGuard)
  download(
    @Param('page') page: string,
    @Param('id') id: string,
    @Query('token') token: string | undefined,
    @Headers('range') range: string | undefined,
    @Req() { user }: WikiRequest,
    @Res() response: Response,
  ) {
    if (token === undefined) {
      this.pages.assertReadable(page, user);
    } else if (!this.tokens.isFor(token, page, id)) {
      throw new ForbiddenException('The link is not valid.');
    }
    const { file, name, type } = this.pages.attachment(page, id);
    response.setHeader('Content-Type', type);
    response.setHeader('Content-Disposition', `attachment; filename="${encodeURIComponent(name)}"`);
    response.setHeader('Cache-Control', 'private, max-age=3600');
    response.setHeader('Accept-Ranges', 'bytes');
    const path = join(this.pages.folder, file);
    if (!existsSync(path)) {
      throw new NotFoundException('The file of this attachment is lost.');
    }
    const { size } = statSync(path);
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(range ?? '') ?? [];
    if (from === undefined) {
      response.setHeader('Content-Length', size);
      createReadStream(path).pipe(response);
      return;
    }
    const start = Number(from);
    const end = to ? Number(to) : size - 1;
    response.status(206);
    response.setHeader('Content-Range', `bytes ${start}-${end}/${size}`);
    response.setHeader('Content-Length', end - start + 1);
    createReadStream(path, { start, end }).pipe(response);
  }

  @Post(':id/links')
  @UseGuards(MemberGuard)
  share(@Param('page') page: string, @Param('id') id: string, @Req() { user }: WikiRequest) {
    this.pages.assertReadable(page, user);
    return { url: `/pages/${page}/attachments/${id}?token=${this.tokens.sign(page, id)}` };
  }
}
