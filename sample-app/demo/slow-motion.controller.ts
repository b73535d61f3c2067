import {
  BadRequestException,
  Body,
  Controller,
  DefaultValuePipe,
  Get,
  Header,
  Param,
  ParseIntPipe,
  Post,
  Query,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { Download, DownloadLinks, Grant, hashPassword, StreamDownload } from 'nestjs-download-auth';
import type { DownloadLink, LinkGrant } from 'nestjs-download-auth';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LinkLedger } from '../app.providers.js';
import { AuthGuard, User } from '../auth.guard.js';
import type { UserClaims } from '../auth.guard.js';
import { FilesService } from '../files.service.js';
import { BadLimitsFilter, LinkLimitsPipe } from '../link-limits.js';
import type { LinkLimits } from '../link-limits.js';

/** Bytes a second by default: the large sample takes half a minute. */
const SPEED = 4_000_000;

/** Pieces a second, and the largest piece in bytes, whatever the speed. */
const BEAT = 10;
const LARGEST_PIECE = 64 * 1024;

/**
 * The same files at a chosen speed. On one computer a large file takes no time; in slow motion there is time
 * to watch a download, to interrupt it and to revoke its link. The speed is a claim of the link.
 */
@Controller('slow')
export class SlowMotionController {
  constructor(
    private readonly files: FilesService,
    private readonly links: DownloadLinks,
    private readonly ledger: LinkLedger,
  ) {}

  @Get(':id')
  @StreamDownload({ auth: 'links' })
  async download(@Param('id') id: string, @Grant() { claims }: LinkGrant): Promise<Download> {
    await this.files.find(id);
    const path = join(this.files.folder, id);
    const speed = Number(claims.bytesPerSecond ?? SPEED);
    const { size, mtime } = await stat(path);
    return Download.source(
      {
        length: size,
        etag: `${size}-${mtime.getTime()}`,
        lastModified: mtime,
        open: ({ start, end, signal }) => read(path, start, end, speed, signal),
      },
      { filename: id },
    );
  }

  @Post(':id/links')
  @Header('Cache-Control', 'no-store')
  @UseGuards(AuthGuard)
  @UseFilters(BadLimitsFilter)
  async create(
    @Param('id') id: string,
    @Query('bytesPerSecond', new DefaultValuePipe(SPEED), ParseIntPipe) bytesPerSecond: number,
    @Body(LinkLimitsPipe) { password, ...limits }: LinkLimits,
    @User() user: UserClaims,
  ): Promise<DownloadLink> {
    if (bytesPerSecond < 1) {
      throw new BadRequestException('bytesPerSecond: send a whole number, 1 or more.');
    }
    await this.files.find(id);
    const link = this.links.create(SlowMotionController, 'download', {
      ...limits,
      params: { id },
      subject: user.sub,
      claims: { bytesPerSecond },
      challenge: password !== undefined,
    });
    const passwordHash = password && (await hashPassword(password));
    await this.ledger.add(user.sub, id, link, { ...limits, passwordHash });
    return link;
  }
}

async function* read(path: string, start: number, end: number, bytesPerSecond: number, signal: AbortSignal) {
  const file = createReadStream(path, {
    start,
    end: end - 1,
    highWaterMark: Math.min(Math.ceil(bytesPerSecond / BEAT), LARGEST_PIECE),
    signal,
  });
  for await (const piece of file as AsyncIterable<Buffer>) {
    await sleep((piece.length / bytesPerSecond) * 1000, undefined, { signal });
    yield piece;
  }
}
