import { Module } from '@nestjs/common';
import { AuthModule } from '../auth/auth.module.js';
import { FilesModule } from '../files/files.module.js';
import { LedgerModule } from '../ledger/ledger.module.js';
import { LinkSeal } from './link-seal.js';
import { LinksController } from './links.controller.js';
import { LinksService } from './links.service.js';

@Module({
  imports: [AuthModule, FilesModule, LedgerModule],
  controllers: [LinksController],
  providers: [LinksService, LinkSeal],
  exports: [LinksService],
})
export class LinksModule {}
