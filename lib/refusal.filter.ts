import { Catch, Inject } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter, HttpException } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { exchangeOfHost } from './http/http-exchange.js';
import type { HttpExchange } from './http/http-exchange.js';
import { isNavigation } from './http/requester.js';
import { ResponsePort } from './http/response-port.js';
import { LinkReply } from './prompts/link-prompts.js';
import { RequestReport } from './request-report.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { errorReason } from './shared/error-reason.js';
import { atOnce } from './shared/hooks.js';
import { ThrottledLogger } from './shared/throttled-logger.js';
import { AnsweredRefusal } from './refusals/download-refusal.js';
import type { DownloadRefusal } from './refusals/download-refusal.js';
import { REFUSAL_PAGE_HEADERS, refusalPage } from './refusals/page.js';

/**
 * Answers a refusal: JSON for programs, a small page for a person who opened a link in a browser. Answers for
 * links that ask something first, too.
 */
@Catch(AnsweredRefusal, LinkReply)
export class RefusalFilter implements ExceptionFilter<DownloadRefusal | LinkReply> {
  private readonly logger = new ThrottledLogger('DownloadAuth');

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(RequestReport) private readonly report: RequestReport,
  ) {}

  catch(error: DownloadRefusal | LinkReply, host: ArgumentsHost): void {
    const exchange = exchangeOfHost(host.switchToHttp());
    this.report.failed(exchange, error);
    if (error instanceof LinkReply) {
      this.send(exchange, error, error.body, error.headers);
      return;
    }
    const page = isNavigation(exchange.request.headers) ? this.pageOf(error) : undefined;
    const headers = { ...error.headers, ...(page !== undefined && REFUSAL_PAGE_HEADERS) };
    this.send(exchange, error, page ?? error.getResponse(), headers);
  }

  private send(
    { response }: HttpExchange,
    error: HttpException,
    body: string | object,
    headers: Readonly<Record<string, string>>,
  ): void {
    const port = new ResponsePort(response);
    if (port.hasBegun) {
      port.breakOff();
      return;
    }
    for (const [name, value] of Object.entries(headers)) {
      port.set(name, value);
    }
    this.adapterHost.httpAdapter.reply(response, body, error.getStatus());
  }

  private pageOf(refusal: DownloadRefusal): string | undefined {
    const choice = this.options.refusalPage;
    try {
      const page: unknown =
        choice === false ? undefined : atOnce('refusalPage', (choice ?? refusalPage)(refusal));
      if (page === undefined || typeof page === 'string') {
        return page;
      }
      throw new DownloadAuthConfigurationError('refusalPage: return a string, or undefined for JSON.');
    } catch (error) {
      const reason = errorReason(error);
      this.logger.error(reason, `refusalPage failed (${reason}); the refusal is answered as JSON.`, error);
      return undefined;
    }
  }
}
