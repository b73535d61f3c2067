import {
  Body,
  Controller,
  Delete,
  Headers,
  HttpCode,
  Param,
  Patch,
  Post,
  Res,
  UseGuards,
} from '@nestjs/common';
import { DownloadLinks } from 'nestjs-download-auth';
import { OwnerGuard } from './guards.js';
import { Shares } from './shares.js';
import type { ShareTerms } from './shares.js';
import { Views } from './views.js';

@Controller('shares')
export class SharesController {
  constructor(
    private readonly shares: Shares,
    private readonly views: Views,
    private readonly links: DownloadLinks,
  ) {}

  @Post()
  @UseGuards(OwnerGuard)
  add(
    @Headers('x-owner') owner: string,
    @Body() { folder, password, ...terms }: ShareTerms & { folder: string; password?: string },
  ) {
    return { id: this.shares.add(owner, folder, password, terms).id };
  }

  @Patch(':share')
  @UseGuards(OwnerGuard)
  async change(
    @Headers('x-owner') owner: string,
    @Param('share') id: string,
    @Body() terms: Partial<ShareTerms>,
  ) {
    this.shares.change(id, owner, terms);
  }

  @Delete(':share')
  @HttpCode(204)
  @UseGuards(OwnerGuard)
  async remove(@Headers('x-owner') owner: string, @Param('share') id: string) {
    this.shares.remove(id, owner);
    await this.links.revoke({ subject: id }); // cuts the downloads that are running
  }

  @Post(':share/views')
  @HttpCode(204)
  view(
    @Param('share') id: string,
    @Body() { password }: { password: string },
    @Res({ passthrough: true }) response: { header(name: string, value: string): unknown },
  ): void {
    this.shares.view(id, password);
    response.header('Set-Cookie', this.views.begin(id));
  }
}
