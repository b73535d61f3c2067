import { Module } from '@nestjs/common';
import { AuthModule } from '../auth/auth.module.js';
import { FilesModule } from '../files/files.module.js';
import { LinkLedger } from './link-ledger.js';
import { LinksController } from './links.controller.js';
import { LinksService } from './links.service.js';
import { RevocationsModule } from './revocations.module.js';

@Module({
  imports: [AuthModule, FilesModule, RevocationsModule],
  controllers: [LinksController],
  providers: [LinksService, LinkLedger],
})
export class LinksModule {}
