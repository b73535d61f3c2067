import { Inject, Injectable, Module } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { describe, expect, it } from 'vitest';
import { DownloadAuthConfigurationError, DownloadAuthModule, DownloadLinks } from '../../lib/index.js';
import { HelloController } from '../support/hello.controller.js';
import { ADAPTERS, SECRET, startApp } from '../support/test-app.js';

@Injectable()
class Sharing {
  constructor(@Inject(DownloadLinks) private readonly links: DownloadLinks) {}

  share(): string {
    return this.links.create(HelloController, 'get', { params: { id: 'a' } }).url;
  }
}

@Module({ providers: [Sharing] })
class SharingModule {}

@Module({ imports: [DownloadAuthModule.forRoot({ secret: SECRET })] })
class LateModule {}

describe.each(ADAPTERS)('a module that is loaded while the application listens, on %s', (adapter) => {
  it('makes links, and cannot bring the package along', async () => {
    const app = await startApp({ adapter, controllers: [HelloController] });
    const loader = app.get(LazyModuleLoader);
    const module = await loader.load(() => SharingModule);
    expect((await app.request(module.get(Sharing).share())).status).toBe(200);
    const late = loader.load(() => LateModule);
    await expect(late).rejects.toThrow(DownloadAuthConfigurationError);
    await expect(late).rejects.toThrow(/Import it in the application's own module/);
    await app.close();
  });
});
