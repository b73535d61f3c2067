import { Controller, Get, Param, StreamableFile, UseGuards } from '@nestjs/common';
import { create as contentDisposition } from 'content-disposition';
import { StreamDownload } from 'nestjs-download-auth';
import { createReadStream } from 'node:fs';
import { BearerGuard } from '../auth/bearer.guard.js';
import { FileLibrary, type FileSummary } from './file-library.service.js';

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
  async download(@Param('id') id: string): Promise<StreamableFile> {
    const { path, name, type, size } = await this.library.find(id);
    return new StreamableFile(createReadStream(path), {
      type,
      length: size,
      disposition: contentDisposition(name),
    });
  }
}
