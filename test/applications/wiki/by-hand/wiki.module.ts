import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { Pages } from '../pages.js';
import { SessionController } from '../session.controller.js';
import { Sessions } from '../sessions.js';
import { AttachmentTokens } from './attachment-tokens.js';
import { AttachmentsController } from './attachments.controller.js';

/** The wiki as it was, with attachments served by hand, on Express. */
@Module({
  controllers: [SessionController, AttachmentsController],
  providers: [Sessions, AttachmentTokens],
})
export class WikiModule {
  static at(folder: string): DynamicModule {
    return { module: WikiModule, providers: [{ provide: Pages, useValue: new Pages(folder) }] };
  }
}
