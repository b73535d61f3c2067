import { Module } from '@nestjs/common';
import { DownloadAuthModule } from 'nestjs-download-auth';
import { FilesController } from './files.controller.js';
import { ShareGuard } from './guards.js';
import { Shares } from './shares.js';
import { SharesController } from './shares.controller.js';
import { Views } from './views.js';

declare module 'nestjs-download-auth' {
  interface DownloadRoutes {
    'shared-file': { share: string; file: string };
  }
}

@Module({
  imports: [
    DownloadAuthModule.forRoot({
      auth: ShareGuard,
      links: { secret: 'the secret of the links to shares' },
    }),
  ],
  controllers: [SharesController, FilesController],
  providers: [Shares, Views],
})
export class SharesModule {}
