import { Controller, Get, Header, Param, UseGuards } from '@nestjs/common';
import { Download, DownloadLinks, StreamDownload } from 'nestjs-download-auth';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppConfig } from './app.providers.js';
import { AuthGuard, User } from './auth.guard.js';
import type { UserClaims } from './auth.guard.js';

/** What a page shows itself: pictures, a film, a document. */
@Controller('media')
export class MediaController {
  private readonly folder: string;

  constructor(
    config: AppConfig,
    private readonly links: DownloadLinks,
  ) {
    this.folder = config.mediaDir;
  }

  /** The links for the page of the person who is signed in. */
  @Get()
  @Header('Cache-Control', 'no-store')
  @UseGuards(AuthGuard)
  async media(@User() { sub }: UserClaims) {
    const names = (await readdir(join(this.folder, 'pictures'))).sort();
    return {
      pictures: names.map((name) => this.pictureLink(name, sub)),
      film: this.filmLink(sub),
      document: this.documentLink(sub),
    };
  }

  /** The same for ten minutes, so that the browser loads each picture once. */
  private pictureLink(name: string, subject: string) {
    return this.links.create(MediaController, 'picture', { params: { name }, subject, reuseWithin: '10m' });
  }

  /** One link to the playlist opens the segments too. */
  private filmLink(subject: string) {
    const params = { file: 'index.m3u8' };
    return this.links.create(MediaController, 'film', { params, free: ['file'], subject, expiresIn: '1h' });
  }

  private documentLink(subject: string) {
    return this.links.create(MediaController, 'document', { subject, expiresIn: '1h' });
  }

  @Get('pictures/:name')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  picture(@Param('name') name: string) {
    return Download.file(name, { root: join(this.folder, 'pictures') });
  }

  @Get('film/:file')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  film(@Param('file') file: string) {
    return Download.file(file, { root: join(this.folder, 'film') });
  }

  @Get('document')
  @StreamDownload({ delivery: { disposition: 'inline' } })
  document() {
    return Download.file('Handbook.pdf', { root: this.folder });
  }
}
