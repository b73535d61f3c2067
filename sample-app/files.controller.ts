import { Controller, Get, Param, UseGuards } from '@nestjs/common';
import { Download, StreamDownload } from 'nestjs-download-auth';
import { AuthGuard } from './auth.guard.js';
import { FilesService } from './files.service.js';
import type { FileSummary } from './files.service.js';

@Controller('files')
export class FilesController {
  constructor(private readonly files: FilesService) {}

  @Get()
  @UseGuards(AuthGuard)
  list(): Promise<FileSummary[]> {
    return this.files.list();
  }

  /** The token may come in the header, the query or the cookie, or be a link: the handler is the same. */
  @Get(':id')
  @StreamDownload()
  async download(@Param('id') id: string): Promise<Download> {
    await this.files.find(id);
    return Download.file(id, { root: this.files.folder });
  }
}
