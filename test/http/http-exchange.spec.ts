import { Controller, Get } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DownloadAuthConfigurationError, DownloadAuthGuard, StreamDownload } from '../../lib/index.js';
import { ADAPTERS, startApp } from '../support/test-app.js';
import type { TestApp } from '../support/test-app.js';

@Controller()
class FilesController {
  @Get('files/:id')
  @StreamDownload()
  download(): string {
    return '';
  }
}

describe.each(ADAPTERS)('the guard outside of HTTP, on %s', (adapter) => {
  let app: TestApp;
  let guard: DownloadAuthGuard;
  beforeAll(async () => {
    app = await startApp({ adapter, controllers: [FilesController] });
    guard = await app.app.resolve(DownloadAuthGuard, undefined, { strict: false });
  });
  afterAll(() => app.close());

  it.each([
    ['a gateway of WebSockets', 'ws', [{ id: 'socket' }, { 'ss-tok': 'token' }]],
    ['a message handler', 'rpc', [{ 'ss-tok': 'token' }, {}]],
    ['a resolver of GraphQL', 'graphql', [undefined, {}, { req: {} }, {}]],
  ])('says that %s is none of its routes', async (_name, type, args) => {
    const download = Object.getOwnPropertyDescriptor(FilesController.prototype, 'download')!
      .value as () => string;
    const context = new ExecutionContextHost(args, FilesController, download);
    context.setType(type);
    const refused = guard.canActivate(context);
    await expect(refused).rejects.toThrow(DownloadAuthConfigurationError);
    await expect(refused).rejects.toThrow(`FilesController.download is called by ${type}`);
  });
});
