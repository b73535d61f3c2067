import { Controller, Get, NotFoundException, Param, Post, Req, Res, UseGuards } from '@nestjs/common';
import type { Response } from 'express';
import { lookup } from 'mime-types';
import { Blobs, NoSuchBlob } from '../blobs.js';
import { Records } from '../records.js';
import { WorkspaceGuard } from '../workspace.guard.js';
import type { CrmRequest } from '../workspace.guard.js';
import { Workspaces } from '../workspaces.js';
import { FileTokenGuard } from './file-token.guard.js';
import type { FileRequest } from './file-token.guard.js';

@Controller('files')
export class FilesController {
  constructor(
    private readonly records: Records,
    private readonly blobs: Blobs,
    private readonly workspaces: Workspaces,
  ) {}

  @Get(':id')
  @UseGuards(FileTokenGuard)
  async download(@Param('id') id: string, @Req() request: FileRequest, @Res() response: Response) {
    const { blob, name, size } = this.records.file(request.workspace, id);
    response.setHeader('Content-Type', lookup(name) || 'application/octet-stream');
    response.setHeader('Content-Disposition', `attachment; filename="${name}"`);
    response.setHeader('Content-Length', size);
    try {
      const stream = await this.blobs.read(blob);
      stream.on('error', () => response.status(500).end());
      stream.pipe(response);
    } catch (error) {
      if (error instanceof NoSuchBlob) {
        throw new NotFoundException('The file is lost.');
      }
      throw error;
    }
  }

  @Post(':id/links')
  @UseGuards(WorkspaceGuard)
  share(@Param('id') id: string, @Req() { user }: Required<CrmRequest>) {
    const { workspace } = this.records.file(user.workspace, id);
    const token = this.workspaces.sign({ type: 'file', sub: user.sub, workspace, file: id });
    return { url: `/files/${id}?token=${token}` };
  }
}
