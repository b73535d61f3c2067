import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import { type ServerResponse } from 'node:http';
import { HttpAdapterHost, Reflector } from '@nestjs/core';
import { mergeMap, type Observable } from 'rxjs';
import { watchNote } from './delivery/watch-note.js';
import { RunningDeliveries } from './delivery/running-deliveries.js';
import { deliver } from './delivery/deliver.js';
import { DeliveredFile } from './delivery/delivered-file.js';
import { type ResolvedDelivery, resolveDelivery } from './delivery/delivery-options.js';
import { Download } from './delivery/download.js';
import { exchangeOf, type HttpExchange } from './http/http-exchange.js';
import { DownloadAuthConfigurationError } from './options/configuration-error.js';
import { PerRoute } from './options/per-route.js';
import { RESOLVED_OPTIONS, type ResolvedOptions } from './options/resolve-options.js';
import { routeOptions } from './options/stream-download.metadata.js';
import { grantOf } from './tokens/grant.js';

/**
 * Delivers what a handler marked `@StreamDownload()` returns: a `StreamableFile` or a `Download`. Anything else passes,
 * but not under a limited link, whose downloads could not be counted then.
 */
@Injectable()
export class DownloadInterceptor implements NestInterceptor {
  private readonly deliveries = new PerRoute<ResolvedDelivery>();

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(RunningDeliveries) private readonly running: RunningDeliveries,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const delivery = this.deliveries.of(context, () => {
      const { controller, handler } = routeOptions(this.reflector, context.getClass(), context.getHandler());
      return resolveDelivery(this.options.delivery, controller.delivery, handler.delivery);
    });
    return next.handle().pipe(mergeMap((result) => this.deliver(result, exchangeOf(context), delivery)));
  }

  private async deliver(
    result: unknown,
    exchange: HttpExchange,
    options: ResolvedDelivery,
  ): Promise<unknown> {
    // what is delivered already was so by this interceptor, where a handler and its controller are both marked
    if (result instanceof DeliveredFile) return result;
    const { request, response } = exchange;
    const link = grantOf(request)?.link;
    if (!(result instanceof StreamableFile || result instanceof Download)) {
      if (link?.maxDownloads !== undefined) throw uncountable();
      return result;
    }
    this.running.add((response as { raw?: ServerResponse }).raw ?? (response as ServerResponse));
    return deliver(result, {
      request,
      response,
      adapter: this.adapterHost.httpAdapter,
      options,
      watch: watchNote.get(request),
      overrides: { filename: link?.filename, disposition: link?.disposition },
    });
  }
}

function uncountable(): Error {
  return new DownloadAuthConfigurationError(
    'The handler behind a link with maxDownloads sends something that cannot be counted: ' +
      'return a StreamableFile or a Download, such as Download.buffer(Buffer.from(text)).',
  );
}
