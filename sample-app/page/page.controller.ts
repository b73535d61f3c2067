import { Controller, Get, Header, NotFoundException, Param, Res, StreamableFile } from '@nestjs/common';
import { readFile } from 'node:fs/promises';

const FOLDER = new URL('../public/', import.meta.url);

/** The only files that are served: a name from a URL never becomes a path. */
const ASSET_TYPES: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'app.js': 'text/javascript; charset=utf-8',
  'api.js': 'text/javascript; charset=utf-8',
  'downloads.js': 'text/javascript; charset=utf-8',
  'format.js': 'text/javascript; charset=utf-8',
  'happenings.js': 'text/javascript; charset=utf-8',
  'live.js': 'text/javascript; charset=utf-8',
  'tickets.js': 'text/javascript; charset=utf-8',
};

const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface HeaderWriter {
  header(name: string, value: string): unknown;
}

/** The page and its parts. They are public: what is private stands behind the API. */
@Controller()
export class PageController {
  @Get()
  @Header('Content-Security-Policy', PAGE_POLICY)
  @Header('Referrer-Policy', 'no-referrer')
  page(@Res({ passthrough: true }) response: HeaderWriter): Promise<StreamableFile> {
    return this.send('index.html', 'text/html; charset=utf-8', response);
  }

  @Get('assets/:name')
  asset(
    @Param('name') name: string,
    @Res({ passthrough: true }) response: HeaderWriter,
  ): Promise<StreamableFile> {
    const type = Object.hasOwn(ASSET_TYPES, name) ? ASSET_TYPES[name] : undefined;
    if (!type) throw new NotFoundException();
    return this.send(name, type, response);
  }

  private async send(name: string, type: string, response: HeaderWriter): Promise<StreamableFile> {
    const bytes = await readFile(new URL(name, FOLDER));
    response.header('Cache-Control', 'no-cache');
    response.header('X-Content-Type-Options', 'nosniff');
    return new StreamableFile(bytes, { type, length: bytes.length });
  }
}
