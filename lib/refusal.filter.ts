import { Catch, Inject } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import Negotiator from 'negotiator';
import type { IncomingHttpHeaders } from 'node:http';
import { exchangeOfHost } from './http/http-exchange.js';
import { RequestReport } from './request-report.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { errorReason } from './shared/error-reason.js';
import { ThrottledLogger } from './shared/throttled-logger.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { REFUSAL_PAGE_HEADERS, refusalPage } from './refusals/refusal-page.js';

/** Answers a refusal: JSON for programs, a small page for a person who opened a link in a browser. */
@Catch(DownloadRefusal)
export class RefusalFilter implements ExceptionFilter<DownloadRefusal> {
  private readonly logger = new ThrottledLogger('DownloadAuth');

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(RequestReport) private readonly report: RequestReport,
  ) {}

  catch(refusal: DownloadRefusal, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const response: unknown = http.getResponse();
    const exchange = exchangeOfHost(http);
    const { httpAdapter } = this.adapterHost;
    this.report.failed(exchange, refusal);
    if (httpAdapter.isHeadersSent(response)) {
      return;
    }
    const page = isNavigation(exchange.request.headers) ? this.pageOf(refusal) : undefined;
    const headers = {
      'X-Content-Type-Options': 'nosniff',
      ...refusal.headers,
      ...(page !== undefined && REFUSAL_PAGE_HEADERS),
    };
    for (const [name, value] of Object.entries(headers)) {
      httpAdapter.setHeader(response, name, value);
    }
    httpAdapter.reply(response, page ?? refusal.getResponse(), refusal.getStatus());
  }

  private pageOf(refusal: DownloadRefusal): string | undefined {
    const choice = this.options.refusalPage;
    try {
      return choice === false ? undefined : (choice ?? refusalPage)(refusal);
    } catch (error) {
      const reason = errorReason(error);
      this.logger.error(reason, `refusalPage failed (${reason}); the refusal is answered as JSON.`, error);
      return undefined;
    }
  }
}

/** Whether a browser is about to show the answer to a person (Fetch metadata, RFC 9110 §12.5.1). */
function isNavigation(headers: IncomingHttpHeaders): boolean {
  const mode = headers['sec-fetch-mode'];
  if (mode !== undefined && mode !== 'navigate') {
    return false;
  }
  return new Negotiator({ headers }).mediaType(['application/json', 'text/html']) === 'text/html';
}
