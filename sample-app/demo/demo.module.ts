import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { AppModule } from '../app.module.js';
import { AppConfig, LinkLedger, LinkPasswords, Users } from '../app.providers.js';
import { SignInBrake } from './hardening/sign-in-brake.js';
import { DemoLedger } from './links/demo-ledger.js';
import { HappeningsRecorder } from './links/happenings.recorder.js';
import { LinkStore } from './links/link-store.js';
import { LiveController } from './links/live.controller.js';
import { PageController } from './page.controller.js';
import { DEMO_USERS } from './settings.js';
import type { DemoSettings } from './settings.js';
import { SlowMotionController } from './slow-motion.controller.js';
import { leaseStoreFor, linkStoreFor } from './storage.js';

/** Puts around the application what a demonstration needs, and provides what `app.providers.ts` asks for. */
@Module({})
export class DemoModule {
  static with({ jwtSecret, filesDir, mediaDir, storage }: DemoSettings): DynamicModule {
    const config = async (): Promise<AppConfig> => ({
      jwtSecret,
      filesDir,
      mediaDir,
      // With resumeWithin, links without a limit are counted too, so the page can show their progress.
      leases: { store: await leaseStoreFor(storage), resumeWithin: '10m' },
    });
    const users: Users = { hasPassword: (username, password) => DEMO_USERS.get(username) === password };
    return {
      module: DemoModule,
      global: true,
      imports: [AppModule],
      controllers: [LiveController, PageController, SlowMotionController],
      providers: [
        { provide: AppConfig, useFactory: config },
        { provide: Users, useValue: users },
        { provide: LinkStore, useFactory: () => linkStoreFor(storage) },
        {
          provide: LinkPasswords,
          inject: [LinkStore],
          useFactory: (store: LinkStore): LinkPasswords => ({
            hashOf: async (id) => (await store.find(id))?.passwordHash,
          }),
        },
        DemoLedger,
        { provide: LinkLedger, useExisting: DemoLedger },
        HappeningsRecorder,
        { provide: APP_INTERCEPTOR, useClass: SignInBrake },
      ],
      exports: [AppConfig, Users, LinkLedger, LinkPasswords],
    };
  }
}
