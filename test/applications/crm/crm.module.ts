import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { DownloadAuthModule } from 'nestjs-download-auth';
import { Blobs } from './blobs.js';
import { FilesController } from './files.controller.js';
import { Records } from './records.js';
import type { RecordFile } from './records.js';
import { SignInController } from './sign-in.controller.js';
import { Workspaces, WorkspacesModule } from './workspaces.js';

declare module 'nestjs-download-auth' {
  interface DownloadRoutes {
    'record-file': { id: string };
  }
}

@Module({
  imports: [
    WorkspacesModule,
    DownloadAuthModule.forRootAsync({
      imports: [WorkspacesModule],
      inject: [Workspaces],
      useFactory: (workspaces: Workspaces) => ({
        secretOrKeyProvider: async (_request, token) => workspaces.keyOfToken(token as string),
        algorithms: ['HS256'],
        accept: { claims: { type: 'access' } },
        links: { secret: 'the secret of the links of the CRM' },
      }),
    }),
  ],
  controllers: [SignInController, FilesController],
})
export class CrmModule {
  static with(folder: string, files: Readonly<Record<string, RecordFile>>): DynamicModule {
    return {
      module: CrmModule,
      providers: [
        { provide: Blobs, useValue: new Blobs(folder) },
        { provide: Records, useValue: new Records(files) },
      ],
    };
  }
}
