import { Injectable, NotFoundException } from '@nestjs/common';
import mime from 'mime-types';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppConfig } from './app.providers.js';

export interface FileSummary {
  /** The name of the file; percent-encode it in a URL. */
  readonly id: string;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly type: string;
}

/** The files of one folder, without subfolders, dotfiles and symbolic links. In your application: a table. */
@Injectable()
export class FilesService {
  readonly folder: string;

  constructor({ filesDir }: AppConfig) {
    this.folder = filesDir;
  }

  async list(): Promise<FileSummary[]> {
    const names = (await readdir(this.folder)).sort((a, b) => a.localeCompare(b, 'en'));
    const files = await Promise.all(names.map((name) => this.lookUp(name)));
    return files.filter((file) => file !== undefined);
  }

  /** @throws NotFoundException, also for a name that points out of the folder */
  async find(id: string): Promise<FileSummary> {
    const file = await this.lookUp(id);
    if (!file) {
      throw new NotFoundException('There is no such file.');
    }
    return file;
  }

  private async lookUp(name: string): Promise<FileSummary | undefined> {
    if (name === '' || name.startsWith('.') || /[/\\\0]/.test(name)) {
      return undefined;
    }
    const stats = await lstat(join(this.folder, name)).catch(() => undefined);
    const type = mime.lookup(name) || 'application/octet-stream';
    return stats?.isFile() ? { id: name, name, size: stats.size, type } : undefined;
  }
}
