import { Module } from '@nestjs/common';
import { SampleSettings } from '../settings/sample-settings.js';
import { ledgerFor } from '../storage/storage.js';
import { LinkLedger } from './link-ledger.js';

@Module({
  providers: [
    {
      provide: LinkLedger,
      inject: [SampleSettings],
      useFactory: ({ storage }: SampleSettings) => ledgerFor(storage),
    },
  ],
  exports: [LinkLedger],
})
export class LedgerModule {}
