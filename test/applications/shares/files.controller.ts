import { Controller, Get, Param, Post, UseGuards } from '@nestjs/common';
import { Download, DownloadLinks, StreamDownload } from 'nestjs-download-auth';
import { ShareGuard } from './guards.js';
import { Shares } from './shares.js';

@Controller('shares/:share/files')
export class FilesController {
  constructor(
    private readonly shares: Shares,
    private readonly links: DownloadLinks,
  ) {}

  @Get(':file')
  @StreamDownload({ name: 'shared-file' })
  download(@Param('share') share: string, @Param('file') file: string) {
    const { folder } = this.shares.open(share); // for links, too: the owner may have changed the expiry
    return Download.file(file, { root: folder });
  }

  /** A link for a download manager, which has no cookie. It counts downloads, not requests. */
  @Post(':file/links')
  @UseGuards(ShareGuard)
  link(@Param('share') share: string, @Param('file') file: string) {
    return this.links.create('shared-file', {
      params: { share, file },
      subject: share,
      expiresIn: '1d',
      maxDownloads: 3,
    });
  }
}
