import { Controller, Get, Param, Post, Req } from '@nestjs/common';
import { Download, DownloadLinks, Grant, StreamDownload } from 'nestjs-download-auth';
import type { DownloadGrant } from 'nestjs-download-auth';
import { Authenticated } from './auth.guard.js';
import type { PhotoRequest } from './auth.guard.js';
import { Photos } from './photos.js';

@Controller('photos')
export class PhotosController {
  constructor(
    private readonly photos: Photos,
    private readonly links: DownloadLinks,
  ) {}

  @Get(':id')
  @Authenticated({ shareKey: true })
  @StreamDownload({ name: 'photo' })
  original(
    @Param('id') id: string,
    @Req() { caller }: Required<PhotoRequest>,
    @Grant() grant: DownloadGrant,
  ) {
    const photo = grant.kind === 'link' ? this.photos.get(id) : this.photos.visibleTo(caller, id);
    return Download.file(photo.file, { root: this.photos.folder, filename: photo.name });
  }

  /** For the photo frame in the living room, which can open URLs and nothing else. */
  @Post(':id/links')
  @Authenticated()
  link(@Param('id') id: string, @Req() { caller }: Required<PhotoRequest>) {
    const { owner } = this.photos.visibleTo(caller, id);
    return this.links.create('photo', { params: { id }, subject: owner, expiresIn: '12h' });
  }
}
