import { Controller, Get, NotFoundException, Param, Post, Req, Res } from '@nestjs/common';
import { DownloadEvents, DownloadLinks, StreamDownload } from '../../lib/index.js';
import type {
  CreateLinkOptions,
  DownloadAuthOptions,
  DownloadEvent,
  DownloadLink,
  LinkUsage,
} from '../../lib/index.js';
import { SECRET, startApp } from './test-app.js';
import type { AdapterName, TestApp, TestAppOptions } from './test-app.js';
import { receive, start } from './http-client.js';
import type { Answer, RequestOptions } from './http-client.js';

/** What the routes of the application answer, by name; what is not there is a 404 of the handler. */
export type Contents = Record<string, (request: any, response: any) => unknown>;

export interface LimitedApp extends TestApp {
  readonly links: DownloadLinks;
  readonly events: DownloadEvent[];
  /** Replaces what the routes answer. */
  readonly contents: Contents;
  /** A link to one name; `url` is absolute. */
  link(name: string, options?: CreateLinkOptions): DownloadLink;
  /** A link to the same name behind a form. */
  form(name: string, options?: CreateLinkOptions): DownloadLink;
  /** {@link LinkRevocation.resource} of one name. */
  resource(name: string): string;
  /** How often a link was used, once nothing runs on it any more. */
  used(link: DownloadLink): Promise<number>;
  usage(link: DownloadLink): Promise<LinkUsage>;
  fetch(link: DownloadLink | string, request?: RequestOptions): Promise<Answer>;
  start(link: DownloadLink | string, request?: RequestOptions): Promise<Answer>;
}

export interface LimitedAppOptions extends Partial<Omit<TestAppOptions, 'adapter' | 'controllers'>> {
  contents?: Contents;
  options?: Omit<DownloadAuthOptions, 'secret'>;
}

/** A real application with files behind limited links. */
export async function startLimitedApp(
  adapter: AdapterName,
  { contents = {}, options, ...setup }: LimitedAppOptions = {},
): Promise<LimitedApp> {
  const answer = (name: string, request: unknown, response: unknown) => {
    const content = contents[name];
    if (!content) {
      throw new NotFoundException();
    }
    return content(request, response);
  };

  @Controller()
  class FilesController {
    @Get('files/:name')
    @StreamDownload()
    file(
      @Param('name') name: string,
      @Req() request: unknown,
      @Res({ passthrough: true }) response: unknown,
    ) {
      return answer(name, request, response);
    }

    @Post('forms/:name')
    @StreamDownload({ transports: { form: true } })
    form(
      @Param('name') name: string,
      @Req() request: unknown,
      @Res({ passthrough: true }) response: unknown,
    ) {
      return answer(name, request, response);
    }
  }

  const app = await startApp({
    ...setup,
    adapter,
    controllers: [FilesController],
    options: { secret: SECRET, ...options },
  });
  const links = app.get(DownloadLinks);
  const events: DownloadEvent[] = [];
  app.get(DownloadEvents).subscribe((event) => void events.push(event));
  const absolute = (link: DownloadLink | string) => {
    const path = typeof link === 'string' ? link : link.url;
    return path.startsWith('/') ? app.url + path : path;
  };
  const mint =
    (handler: 'file' | 'form') =>
    (name: string, more: CreateLinkOptions = {}): DownloadLink => {
      const link = links.create(FilesController, handler, { params: { name }, ...more });
      return { ...link, url: absolute(link) };
    };
  const usage = ({ id }: DownloadLink) => links.usage(id);
  return {
    ...app,
    links,
    events,
    contents,
    link: mint('file'),
    form: mint('form'),
    resource: (name) => links.resource(FilesController, 'file', { params: { name } }),
    usage,
    async used(link) {
      let found = await usage(link);
      while (found.leases.some(({ running }) => running > 0)) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        found = await usage(link);
      }
      return found.used;
    },
    fetch: (link, request) => receive(absolute(link), request),
    start: (link, request) => start(absolute(link), request),
  };
}
