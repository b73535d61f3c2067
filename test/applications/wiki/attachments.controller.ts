import { Controller, Get, Param, Post, Req, UseGuards } from '@nestjs/common';
import { Download, DownloadLinks, Grant, StreamDownload } from 'nestjs-download-auth';
import type { DownloadGrant } from 'nestjs-download-auth';
import { MemberGuard } from './guards.js';
import type { WikiRequest } from './guards.js';
import { Pages } from './pages.js';

@Controller('pages/:page/attachments')
export class AttachmentsController {
  constructor(
    private readonly pages: Pages,
    private readonly links: DownloadLinks,
  ) {}

  @Get(':id')
  @StreamDownload({ name: 'attachment' })
  download(@Param('page') page: string, @Param('id') id: string, @Grant() grant: DownloadGrant) {
    if (grant.kind !== 'link') {
      this.pages.assertReadable(page, grant.subject);
    }
    const { file, name, type } = this.pages.attachment(page, id);
    return Download.file(file, { root: this.pages.folder, filename: name, type });
  }

  @Post(':id/links')
  @UseGuards(MemberGuard)
  share(@Param('page') page: string, @Param('id') id: string, @Req() { user }: WikiRequest) {
    this.pages.assertReadable(page, user);
    return this.links.create('attachment', { params: { page, id }, subject: user, expiresIn: '1h' });
  }
}
