import { ForbiddenException, Injectable, NotFoundException } from '@nestjs/common';
import { join } from 'node:path';

/** Who has bought which book. */
const BOOKS: Readonly<Record<string, readonly string[]>> = { dune: ['ada'], emma: ['ada', 'grace'] };

@Injectable()
export class Books {
  private readonly folder = process.env.BOOKS_FOLDER ?? 'books';

  /** Where the chapters of a book are. */
  folderOf(book: string): string {
    if (!Object.hasOwn(BOOKS, book)) {
      throw new NotFoundException('There is no such book.');
    }
    return join(this.folder, book);
  }

  assertBoughtBy(name: string | undefined, book: string): void {
    if (name === undefined || !BOOKS[book]?.includes(name)) {
      throw new ForbiddenException('Buy this book first.');
    }
  }
}
