import { Module } from '@nestjs/common';
import { LinkRevocations } from './link-revocations.js';

/** A module of its own, because the options of the download package need it before the links exist. */
@Module({ providers: [LinkRevocations], exports: [LinkRevocations] })
export class RevocationsModule {}
