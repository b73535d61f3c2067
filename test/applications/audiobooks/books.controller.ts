import { Controller, Get, Param, Post, Req } from '@nestjs/common';
import { Download, DownloadLinks, Grant, StreamDownload } from 'nestjs-download-auth';
import type { DownloadGrant } from 'nestjs-download-auth';
import { Books } from './books';
import type { Listener } from './jwt.strategy';

@Controller('books')
export class BooksController {
  constructor(
    private readonly books: Books,
    private readonly links: DownloadLinks,
  ) {}

  @Get(':book/:chapter')
  @StreamDownload({ name: 'chapter' })
  chapter(@Param('book') book: string, @Param('chapter') chapter: string, @Grant() grant: DownloadGrant) {
    if (grant.kind !== 'link') {
      this.books.assertBoughtBy(grant.subject, book);
    }
    return Download.file(chapter, { root: this.books.folderOf(book) });
  }

  /** For `<audio src>`, which cannot send the token. */
  @Post(':book/:chapter/links')
  link(@Param('book') book: string, @Param('chapter') chapter: string, @Req() { user }: { user: Listener }) {
    this.books.assertBoughtBy(user.name, book);
    return this.links.create('chapter', { params: { book, chapter }, subject: user.name, expiresIn: '12h' });
  }
}
