import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { DownloadAuthModule } from 'nestjs-download-auth';
import { AttachmentsController } from './attachments.controller.js';
import { VisitorGuard } from './guards.js';
import type { WikiRequest } from './guards.js';
import { Pages } from './pages.js';
import { SessionController } from './session.controller.js';
import { Sessions } from './sessions.js';

declare module 'nestjs-download-auth' {
  interface DownloadRoutes {
    attachment: { page: string; id: string };
  }
}

@Module({
  imports: [
    DownloadAuthModule.forRoot({
      auth: VisitorGuard,
      subject: ({ user }: WikiRequest) => user,
      links: { secret: 'the secret of the links of the wiki' },
    }),
  ],
  controllers: [SessionController, AttachmentsController],
  providers: [Sessions],
})
export class WikiModule {
  static at(folder: string): DynamicModule {
    return { module: WikiModule, providers: [{ provide: Pages, useValue: new Pages(folder) }] };
  }
}
