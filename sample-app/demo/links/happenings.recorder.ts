import { Injectable, Logger } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { DownloadEvents } from 'nestjs-download-auth';
import type { DownloadEvent } from 'nestjs-download-auth';
import { concatMap } from 'rxjs';
import { LinkStore } from './link-store.js';
import type { Happening } from './link-store.js';

/** Writes the events of links on this instance to the store, in order. */
@Injectable()
export class HappeningsRecorder implements OnModuleInit {
  private readonly logger = new Logger('HappeningsRecorder');

  constructor(
    private readonly events: DownloadEvents,
    private readonly store: LinkStore,
  ) {}

  onModuleInit(): void {
    this.events.pipe(concatMap((event) => this.record(event))).subscribe();
  }

  private async record(event: DownloadEvent): Promise<void> {
    // The entry of a link already says when it was minted.
    if (event.linkId === undefined || event.type === 'minted') {
      return;
    }
    try {
      const entry = await this.store.find(event.linkId);
      if (entry) {
        await this.store.note(entry, happeningOf(event));
      }
    } catch (error) {
      this.logger.warn(`An event of a link was not recorded: ${(error as Error).message}`);
    }
  }
}

function happeningOf(event: DownloadEvent): Happening {
  const { type, at, status, code, length, from, bytes } = event as Happening;
  return { type, at, status, code, length, from, bytes };
}
