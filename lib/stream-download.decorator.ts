import { applyDecorators, SetMetadata, UseFilters, UseGuards, UseInterceptors } from '@nestjs/common';
import { DownloadAuthGuard } from './download-auth.guard.js';
import { DownloadInterceptor } from './download.interceptor.js';
import type { StreamDownloadOptions } from './download-auth-options.js';
import { checkRouteOptions } from './route-options.js';
import { STREAM_DOWNLOAD } from './http/handler-metadata.js';
import { RefusalFilter } from './refusal.filter.js';

/**
 * Marks a handler, or every handler of a controller, as a download: the guard checks the token of the request
 * ({@link DownloadAuthGuard}), what the handler returns is delivered with ranges, validators and safe headers
 * ({@link DownloadInterceptor}), and refusals are answered as RFC 6750 and the codes of this package say.
 *
 * @throws DownloadAuthConfigurationError for options that cannot work
 * @example
 * ```ts
 * @Get('files/:id')
 * @StreamDownload()
 * download(@Param('id') id: string) {
 *   return new StreamableFile(createReadStream(this.files.pathOf(id)));
 * }
 * ```
 */
export function StreamDownload(options: StreamDownloadOptions = {}): MethodDecorator & ClassDecorator {
  checkRouteOptions(options);
  return applyDecorators(
    SetMetadata(STREAM_DOWNLOAD, options),
    UseGuards(DownloadAuthGuard),
    UseInterceptors(DownloadInterceptor),
    UseFilters(RefusalFilter),
  );
}
