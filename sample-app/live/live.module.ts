import { Module } from '@nestjs/common';
import { AuthModule } from '../auth/auth.module.js';
import { LedgerModule } from '../ledger/ledger.module.js';
import { LinksModule } from '../links/links.module.js';
import { HappeningsRecorder } from './happenings.recorder.js';
import { LiveController } from './live.controller.js';
import { LiveLinks } from './live-links.service.js';

@Module({
  imports: [AuthModule, LedgerModule, LinksModule],
  controllers: [LiveController],
  providers: [HappeningsRecorder, LiveLinks],
})
export class LiveModule {}
