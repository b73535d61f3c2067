import { Controller, Get, Header, NotFoundException, Param, StreamableFile } from '@nestjs/common';
import mime from 'mime-types';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname } from 'node:path';

const FOLDER = new URL('./public/', import.meta.url);
const PAGE = 'index.html';
const packages = createRequire(import.meta.url);

/** The name under which the page loads the browser module of the package. */
const CLIENT = 'client.js';

/** The only names that are served: a name from a URL never becomes a path. */
const ASSETS = new Map<string, URL | string>([
  ...readdirSync(FOLDER)
    .filter((name) => name !== PAGE)
    .map((name) => [name, new URL(name, FOLDER)] as const),
  // For browsers that cannot play HLS themselves, such as Firefox
  ['hls.js', packages.resolve('hls.js/dist/hls.light.min.mjs')],
]);

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "media-src 'self' blob:",
  "frame-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The page and its assets, which are public. */
@Controller()
export class PageController {
  @Get()
  @Header('Content-Security-Policy', POLICY)
  @Header('Referrer-Policy', 'no-referrer')
  @Header('Cache-Control', 'no-cache')
  @Header('X-Content-Type-Options', 'nosniff')
  page(): Promise<StreamableFile> {
    return read(new URL(PAGE, FOLDER), 'text/html; charset=utf-8');
  }

  @Get('assets/:name')
  @Header('Cache-Control', 'no-cache')
  @Header('X-Content-Type-Options', 'nosniff')
  asset(@Param('name') name: string): Promise<StreamableFile> {
    const asset = name === CLIENT ? packages.resolve('nestjs-download-auth/client') : ASSETS.get(name);
    if (!asset) {
      throw new NotFoundException();
    }
    return read(asset, mime.contentType(extname(name)) || undefined);
  }
}

async function read(path: URL | string, type?: string): Promise<StreamableFile> {
  const bytes = await readFile(path);
  return new StreamableFile(bytes, { type, length: bytes.length });
}
