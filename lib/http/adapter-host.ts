import type { AbstractHttpAdapter, HttpAdapterHost } from '@nestjs/core';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/**
 * Calls back with the application's adapter, before it registers any route; not in a process without HTTP.
 * `Test.createTestingModule()` makes the adapter after the modules.
 *
 * @throws DownloadAuthConfigurationError for a module that is loaded later, when Fastify takes no more hooks
 */
export function withAdapter(host: HttpAdapterHost, use: (adapter: AbstractHttpAdapter) => void): void {
  if (host.listening) {
    throw new DownloadAuthConfigurationError(
      'DownloadAuthModule was loaded when the application was listening already, as by LazyModuleLoader. Import it in ' +
        "the application's own module: modules that are loaded later find its providers.",
    );
  }
  host.init$.subscribe(() => {
    const adapter = host.httpAdapter as AbstractHttpAdapter | null | undefined;
    if (adapter) {
      use(adapter);
    }
  });
}
