import { Controller, Get, Param, UseGuards } from '@nestjs/common';
import { Download, type DownloadGrant, Grant, StreamDownload } from 'nestjs-download-auth';
import { BearerGuard } from '../auth/bearer.guard.js';
import { FileLibrary, type FileSummary } from './file-library.service.js';
import { paceOf, slowly } from './slow-motion.js';

@Controller('files')
export class FilesController {
  constructor(private readonly library: FileLibrary) {}

  @Get()
  @UseGuards(BearerGuard)
  list(): Promise<FileSummary[]> {
    return this.library.list();
  }

  /** The token comes by header, by query, by cookie or as a link; the handler need not know which. */
  @Get(':id')
  @StreamDownload()
  async download(@Param('id') id: string, @Grant() grant: DownloadGrant): Promise<Download> {
    const file = await this.library.find(id);
    const pace = paceOf(grant);
    return pace ? slowly(file, pace) : Download.file(file.name, { root: this.library.folder });
  }
}
