import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { Blobs } from '../blobs.js';
import { Records } from '../records.js';
import type { RecordFile } from '../records.js';
import { SignInController } from '../sign-in.controller.js';
import { WorkspacesModule } from '../workspaces.js';
import { FilesController } from './files.controller.js';

/** The CRM as it was, with a controller for its own file tokens, on Express. */
@Module({ imports: [WorkspacesModule], controllers: [SignInController, FilesController] })
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
