import { Module } from '@nestjs/common';
import { DownloadAuthModule } from 'nestjs-download-auth';
import { AppConfig } from './app.providers.js';
import { AuthController } from './auth.controller.js';
import { FilesController } from './files.controller.js';
import { FilesService } from './files.service.js';
import { LinksController } from './links.controller.js';

/** The application. What it needs from outside is in `app.providers.ts`; here `demo/` provides it. */
@Module({
  imports: [
    DownloadAuthModule.forRootAsync({
      inject: [AppConfig],
      useFactory: ({ jwtSecret, leases }: AppConfig) => ({ secret: jwtSecret, leases }),
    }),
  ],
  controllers: [AuthController, FilesController, LinksController],
  providers: [FilesService],
  exports: [FilesService],
})
export class AppModule {}
