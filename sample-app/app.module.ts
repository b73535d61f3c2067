import { type DynamicModule, Module } from '@nestjs/common';
import { DownloadAuthModule } from 'nestjs-download-auth';
import { AuthModule } from './auth/auth.module.js';
import { FilesModule } from './files/files.module.js';
import { LinkRevocations } from './links/link-revocations.js';
import { LinksModule } from './links/links.module.js';
import { RevocationsModule } from './links/revocations.module.js';
import { PageModule } from './page/page.module.js';
import { SampleSettings } from './settings/sample-settings.js';
import { SettingsModule } from './settings/settings.module.js';

@Module({})
export class AppModule {
  static with(settings: SampleSettings): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SettingsModule.with(settings),
        DownloadAuthModule.forRootAsync({
          imports: [RevocationsModule],
          inject: [SampleSettings, LinkRevocations],
          useFactory: ({ jwtSecret }: SampleSettings, revocations: LinkRevocations) => ({
            secret: jwtSecret,
            links: { validate: revocations.check },
          }),
        }),
        AuthModule,
        FilesModule,
        LinksModule,
        PageModule,
      ],
    };
  }
}
