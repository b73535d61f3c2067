import {
  Controller,
  Get,
  Header,
  HttpCode,
  Module,
  Param,
  Post,
  Res,
  StreamableFile,
  UseGuards,
} from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiUnauthorizedResponse } from '@nestjs/swagger';
import { createHash } from 'node:crypto';
import { Download, DownloadAuthModule, StreamDownload } from '../../lib/index.js';
import { SECRET } from '../support/test-app.js';

export const BYTES = Buffer.from('0123456789'.repeat(10));
const digest = { 'sha-256': createHash('sha256').update(BYTES).digest() };
const file = () => Download.buffer(BYTES, { filename: 'digits.txt', lastModified: new Date(0), digest });

class HeaderGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest().headers['x-user'] !== undefined;
  }
}

@Controller('files')
export class FilesController {
  @Get('token/:id')
  @StreamDownload()
  token(@Param('id') _id: string) {
    return file();
  }

  @Get('asking/:id')
  @StreamDownload({ challenge: (answer) => answer === '4711' })
  asking(@Param('id') _id: string) {
    return file();
  }

  @Get('links/:id')
  @StreamDownload({ auth: 'links' })
  links(@Param('id') _id: string) {
    return file();
  }

  @Get('public')
  @StreamDownload({ auth: 'public', delivery: { ranges: false } })
  public() {
    return file();
  }

  @Get('guarded')
  @ApiBearerAuth('session')
  @StreamDownload({ auth: HeaderGuard })
  guarded() {
    return file();
  }

  @Get('delivery')
  @UseGuards(HeaderGuard)
  @StreamDownload({ auth: false })
  delivery() {
    return file();
  }

  @Get('own')
  @StreamDownload({ transports: { cookie: false, query: 'links' } })
  @ApiOkResponse({ description: 'A report', content: { 'application/pdf': {} } })
  @ApiUnauthorizedResponse({ description: 'Sign in' })
  own() {
    return file();
  }

  /** As the compiler plugin of @nestjs/swagger describes it. */
  @Get('class')
  @StreamDownload()
  @ApiOkResponse({ type: StreamableFile })
  class() {
    return file();
  }

  @Post('form')
  @HttpCode(200)
  @StreamDownload({ transports: { form: true } })
  form() {
    return file();
  }

  @Get('tree/*')
  @StreamDownload()
  tree() {
    return file();
  }

  @Get('itself')
  @StreamDownload()
  itself(@Res() response: { send(body: string): void }) {
    response.send('done');
  }

  @Get('plain')
  @Header('X-A', 'b')
  plain() {
    return { plain: true };
  }
}

@Module({
  imports: [DownloadAuthModule.forRoot({ secret: SECRET, delivery: { ranges: true } })],
  controllers: [FilesController],
})
export class DescribedModule {}
