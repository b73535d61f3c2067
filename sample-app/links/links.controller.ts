import { Body, Controller, Delete, Get, Header, HttpCode, Param, Post, UseGuards } from '@nestjs/common';
import type { DownloadLink } from 'nestjs-download-auth';
import { BearerGuard } from '../auth/bearer.guard.js';
import { Session, type SessionInfo } from '../auth/session.decorator.js';
import { readLinkRequest } from './link-request.js';
import type { LinkSummary } from './link-summary.js';
import { LinksService } from './links.service.js';

@Controller()
@UseGuards(BearerGuard)
export class LinksController {
  constructor(private readonly links: LinksService) {}

  @Post('files/:id/links')
  @Header('Cache-Control', 'no-store')
  create(
    @Param('id') fileId: string,
    @Body() body: unknown,
    @Session() { username }: SessionInfo,
  ): Promise<DownloadLink> {
    return this.links.create(username, fileId, readLinkRequest(body));
  }

  @Get('links')
  @Header('Cache-Control', 'no-store')
  list(@Session() { username }: SessionInfo): Promise<LinkSummary[]> {
    return this.links.list(username);
  }

  @Delete('links/:id')
  @HttpCode(204)
  revoke(@Param('id') id: string, @Session() { username }: SessionInfo): Promise<void> {
    return this.links.revoke(username, id);
  }
}
