import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { type DownloadEvent, DownloadEvents } from 'nestjs-download-auth';
import { catchError, concatMap, EMPTY, from } from 'rxjs';
import { type Happening, LinkLedger } from '../ledger/link-ledger.js';

/** Writes what happens to links on this instance into the ledger, one after the other. */
@Injectable()
export class HappeningsRecorder implements OnModuleInit {
  private readonly logger = new Logger('HappeningsRecorder');

  constructor(
    private readonly events: DownloadEvents,
    private readonly ledger: LinkLedger,
  ) {}

  onModuleInit(): void {
    const record = (event: DownloadEvent) =>
      from(this.record(event)).pipe(
        catchError((error: Error) => {
          this.logger.warn(`A happening could not be written down: ${error.message}`);
          return EMPTY;
        }),
      );
    this.events.pipe(concatMap(record)).subscribe();
  }

  private async record(event: DownloadEvent): Promise<void> {
    // that a link was made is what its entry says
    if (event.linkId === undefined || event.type === 'minted') return;
    const entry = await this.ledger.find(event.linkId);
    if (entry) await this.ledger.note(entry, happeningOf(event));
  }
}

function happeningOf(event: DownloadEvent): Happening {
  return {
    type: event.type,
    at: event.at,
    status: 'status' in event ? event.status : undefined,
    code: 'code' in event ? event.code : undefined,
    length: 'length' in event ? event.length : undefined,
    from: 'from' in event ? event.from : undefined,
    bytes: 'bytes' in event ? event.bytes : undefined,
  };
}
