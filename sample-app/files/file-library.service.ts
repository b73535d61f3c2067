import { Injectable, NotFoundException } from '@nestjs/common';
import mime from 'mime-types';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SampleSettings } from '../settings/sample-settings.js';

/** A file as the API shows it. */
export interface FileSummary {
  /** The file's name; percent-encode it in a URL. */
  readonly id: string;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Media type, from the name's extension. */
  readonly type: string;
}

export interface LibraryFile extends FileSummary {
  readonly path: string;
  readonly modifiedAt: Date;
}

// eslint-disable-next-line no-control-regex -- a name with NUL reaches no file system
const NOT_A_PLAIN_NAME = /^\.|[/\\\u0000]/;

/** The files of one folder: no subfolders, no dotfiles, no symbolic links. */
@Injectable()
export class FileLibrary {
  /** Where the files lie. */
  readonly folder: string;

  constructor(settings: SampleSettings) {
    this.folder = settings.filesDir;
  }

  /** All files, by name. */
  async list(): Promise<FileSummary[]> {
    const names = await readdir(this.folder);
    const files = await Promise.all(names.map((name) => this.lookUp(name)));
    return files
      .filter((file) => file !== undefined)
      .map(({ id, name, size, type }) => ({ id, name, size, type }))
      .sort((a, b) => a.name.localeCompare(b.name, 'en'));
  }

  /**
   * One file of the folder, whatever the caller sent as its name.
   * @throws NotFoundException also for a name that points out of the folder: who tries learns nothing
   */
  async find(id: string): Promise<LibraryFile> {
    const file = await this.lookUp(id);
    if (!file) throw new NotFoundException('There is no such file.');
    return file;
  }

  private async lookUp(name: string): Promise<LibraryFile | undefined> {
    if (name === '' || NOT_A_PLAIN_NAME.test(name)) return undefined;
    const path = join(this.folder, name);
    // lstat, because a symbolic link could point anywhere
    const stats = await lstat(path).catch(() => undefined);
    if (!stats?.isFile()) return undefined;
    const type = mime.lookup(name) || 'application/octet-stream';
    return { id: name, name, size: stats.size, type, path, modifiedAt: stats.mtime };
  }
}
