import { type DynamicModule, Global, Module } from '@nestjs/common';
import { SampleSettings } from './sample-settings.js';

/** Makes the settings injectable everywhere, as `SampleSettings`. */
@Global()
@Module({})
export class SettingsModule {
  static with(settings: SampleSettings): DynamicModule {
    return {
      module: SettingsModule,
      providers: [{ provide: SampleSettings, useValue: settings }],
      exports: [SampleSettings],
    };
  }
}
