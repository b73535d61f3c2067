import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { besideLinks, DownloadAuthModule } from 'nestjs-download-auth';
import { AuthGuard } from './auth.guard.js';
import type { PhotoRequest } from './auth.guard.js';
import { People } from './people.js';
import { PhotosController } from './photos.controller.js';
import { Photos } from './photos.js';
import type { Photo } from './photos.js';

declare module 'nestjs-download-auth' {
  interface DownloadRoutes {
    photo: { id: string };
  }
}

@Module({
  imports: [
    DownloadAuthModule.forRoot({
      auth: 'public', // AuthGuard has decided
      subject: ({ caller }: PhotoRequest) => (caller && 'person' in caller ? caller.person : undefined),
      links: { secret: 'the secret of the links of the photo library' },
    }),
  ],
  controllers: [PhotosController],
  providers: [People, { provide: APP_GUARD, useClass: besideLinks(AuthGuard) }],
})
export class LibraryModule {
  static with(folder: string, photos: Readonly<Record<string, Photo>>): DynamicModule {
    return { module: LibraryModule, providers: [{ provide: Photos, useValue: new Photos(folder, photos) }] };
  }
}
