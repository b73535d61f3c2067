import { Controller, Get, Header, NotFoundException, Param, StreamableFile } from '@nestjs/common';
import mime from 'mime-types';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const FOLDER = new URL('./public/', import.meta.url);
const PAGE = 'index.html';

/** The name under which the page loads the browser module of the package. */
const CLIENT = 'client.js';

/** The only names that are served: a name from a URL never becomes a path. */
const ASSETS = new Set(readdirSync(FOLDER).filter((name) => name !== PAGE));

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
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
    return read(PAGE);
  }

  @Get('assets/:name')
  @Header('Cache-Control', 'no-cache')
  @Header('X-Content-Type-Options', 'nosniff')
  asset(@Param('name') name: string): Promise<StreamableFile> {
    if (name === CLIENT) {
      return read(name, createRequire(import.meta.url).resolve('nestjs-download-auth/client'));
    }
    if (!ASSETS.has(name)) {
      throw new NotFoundException();
    }
    return read(name);
  }
}

async function read(name: string, path: string | URL = new URL(name, FOLDER)): Promise<StreamableFile> {
  const bytes = await readFile(path);
  return new StreamableFile(bytes, { type: mime.contentType(name) || undefined, length: bytes.length });
}
