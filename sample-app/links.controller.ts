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
  Sse,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { DownloadEvents, DownloadLinks, hashPassword } from 'nestjs-download-auth';
import type { DownloadLink, LinkMessage } from 'nestjs-download-auth';
import type { Observable } from 'rxjs';
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
    private readonly events: DownloadEvents,
    private readonly ledger: LinkLedger,
  ) {}

  /** Your own check comes first: whoever holds the link may download the file. */
  @Post('files/:id/links')
  @Header('Cache-Control', 'no-store')
  @UseFilters(BadLimitsFilter)
  async create(
    @Param('id') id: string,
    @Body(LinkLimitsPipe) { password, ...limits }: LinkLimits,
    @User() user: UserClaims,
  ): Promise<DownloadLink> {
    await this.files.find(id);
    const link = this.links.create(FilesController, 'download', {
      ...limits,
      params: { id },
      subject: user.sub,
      challenge: password !== undefined,
    });
    const passwordHash = password && (await hashPassword(password));
    await this.ledger.add(user.sub, id, link, { ...limits, passwordHash });
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
    await this.requireOwn(id, user);
    await this.links.revoke({ link: id });
    await this.ledger.markRevoked(id);
  }

  /** How far a download is that the page has started. */
  @Sse('links/:id/events')
  async follow(@Param('id') id: string, @User() user: UserClaims): Promise<Observable<LinkMessage>> {
    await this.requireOwn(id, user);
    return this.events.of(id);
  }

  private async requireOwn(id: string, user: UserClaims): Promise<void> {
    if ((await this.ledger.ownerOf(id)) !== user.sub) {
      throw new NotFoundException('You have no such link.');
    }
  }
}
