import {
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  NotFoundException,
  Param,
  Post,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { DownloadLinks } from 'nestjs-download-auth';
import type { DownloadLink } from 'nestjs-download-auth';
import { LinkLedger } from './app.providers.js';
import { AuthGuard, User } from './auth.guard.js';
import type { UserClaims } from './auth.guard.js';
import { FilesController } from './files.controller.js';
import { FilesService } from './files.service.js';
import { BadLimitsFilter, LinkLimitsPipe } from './link-limits.js';
import type { LinkLimits } from './link-limits.js';

@Controller()
@UseGuards(AuthGuard)
export class LinksController {
  constructor(
    private readonly files: FilesService,
    private readonly links: DownloadLinks,
    private readonly ledger: LinkLedger,
  ) {}

  /** Your own check comes first: whoever holds the link may download the file. */
  @Post('files/:id/links')
  @Header('Cache-Control', 'no-store')
  @UseFilters(BadLimitsFilter)
  async create(
    @Param('id') id: string,
    @Body(LinkLimitsPipe) limits: LinkLimits,
    @User() user: UserClaims,
  ): Promise<DownloadLink> {
    await this.files.find(id);
    const link = this.links.create(FilesController, 'download', {
      ...limits,
      params: { id },
      subject: user.sub,
    });
    await this.ledger.add(user.sub, id, link, limits.maxDownloads);
    return link;
  }

  @Get('links')
  @Header('Cache-Control', 'no-store')
  list(@User() user: UserClaims): Promise<object[]> {
    return this.ledger.listOf(user.sub);
  }

  /** Also stops the downloads that are running. */
  @Delete('links/:id')
  @HttpCode(204)
  async revoke(@Param('id') id: string, @User() user: UserClaims): Promise<void> {
    if ((await this.ledger.ownerOf(id)) !== user.sub) {
      throw new NotFoundException('You have no such link.');
    }
    await this.links.revoke({ link: id });
    await this.ledger.markRevoked(id);
  }
}
