import { Controller, Get, Param, Post, Req, UseGuards } from '@nestjs/common';
import { Download, DownloadLinks, Grant, StreamDownload } from 'nestjs-download-auth';
import type { AccessGrant, LinkGrant } from 'nestjs-download-auth';
import { Blobs, NoSuchBlob } from './blobs.js';
import { Records } from './records.js';
import { WorkspaceGuard } from './workspace.guard.js';
import type { CrmRequest } from './workspace.guard.js';

@Controller('files')
export class FilesController {
  constructor(
    private readonly records: Records,
    private readonly blobs: Blobs,
    private readonly links: DownloadLinks,
  ) {}

  @Get(':id')
  @StreamDownload({ name: 'record-file' })
  download(@Param('id') id: string, @Grant() { claims }: AccessGrant | LinkGrant) {
    const { blob, version, uploadedAt, name, size } = this.records.file(claims.workspace, id);
    return Download.source(
      {
        length: size,
        etag: version,
        lastModified: uploadedAt,
        open: ({ start, end }) => this.blobs.read(blob, start, end),
        missing: (error) => error instanceof NoSuchBlob,
      },
      { filename: name },
    );
  }

  @Post(':id/links')
  @UseGuards(WorkspaceGuard)
  share(@Param('id') id: string, @Req() { user }: Required<CrmRequest>) {
    const { workspace } = this.records.file(user.workspace, id);
    return this.links.create('record-file', { params: { id }, subject: user.sub, claims: { workspace } });
  }
}
