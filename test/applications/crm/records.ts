import { Injectable, NotFoundException } from '@nestjs/common';

export interface RecordFile {
  readonly workspace: string;
  readonly blob: string;
  readonly version: string;
  readonly uploadedAt: Date;
  readonly name: string;
  readonly size: number;
}

/** The files that are attached to the records of all workspaces. */
@Injectable()
export class Records {
  constructor(private readonly files: Readonly<Record<string, RecordFile>>) {}

  file(workspace: unknown, id: string): RecordFile {
    const file = Object.hasOwn(this.files, id) ? this.files[id] : undefined;
    if (!file || file.workspace !== workspace) {
      throw new NotFoundException('There is no such file in this workspace.');
    }
    return file;
  }
}
