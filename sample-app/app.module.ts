import { type DynamicModule, Module } from '@nestjs/common';
import { DownloadAuthModule } from 'nestjs-download-auth';
import { AuthModule } from './auth/auth.module.js';
import { FilesModule } from './files/files.module.js';
import { LinksModule } from './links/links.module.js';
import { LiveModule } from './live/live.module.js';
import { PageModule } from './page/page.module.js';
import { SampleSettings } from './settings/sample-settings.js';
import { SettingsModule } from './settings/settings.module.js';
import { leaseStoreFor } from './storage/storage.js';

@Module({})
export class AppModule {
  static with(settings: SampleSettings): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SettingsModule.with(settings),
        DownloadAuthModule.forRootAsync({
          inject: [SampleSettings],
          useFactory: async ({ jwtSecret, storage }: SampleSettings) => ({
            secret: jwtSecret,
            leases: {
              store: await leaseStoreFor(storage),
              // a download that runs while its link expires may be resumed; and every link's progress is known
              resumeWithin: '10m',
            },
          }),
        }),
        AuthModule,
        FilesModule,
        LinksModule,
        LiveModule,
        PageModule,
      ],
    };
  }
}
