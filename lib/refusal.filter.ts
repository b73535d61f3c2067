import { Catch, Inject } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import Negotiator from 'negotiator';
import { STATUS_CODES } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { exchangeOfHost } from './http/http-exchange.js';
import { ResponsePort } from './http/response-port.js';
import { RequestReport } from './request-report.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { errorReason } from './shared/error-reason.js';
import { ThrottledLogger } from './shared/throttled-logger.js';
import { AnsweredRefusal } from './refusals/download-refusal.js';
import type { DownloadRefusal } from './refusals/download-refusal.js';

/** Answers a refusal: JSON for programs, a small page for a person who opened a link in a browser. */
@Catch(AnsweredRefusal)
export class RefusalFilter implements ExceptionFilter<DownloadRefusal> {
  private readonly logger = new ThrottledLogger('DownloadAuth');

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Inject(RequestReport) private readonly report: RequestReport,
  ) {}

  catch(refusal: DownloadRefusal, host: ArgumentsHost): void {
    const exchange = exchangeOfHost(host.switchToHttp());
    const port = new ResponsePort(this.adapterHost.httpAdapter, exchange.response);
    this.report.failed(exchange, refusal);
    if (port.hasBegun) {
      port.breakOff();
      return;
    }
    const page = isNavigation(exchange.request.headers) ? this.pageOf(refusal) : undefined;
    const headers = { ...refusal.headers, ...(page !== undefined && PAGE_HEADERS) };
    for (const [name, value] of Object.entries(headers)) {
      port.set(name, value);
    }
    this.adapterHost.httpAdapter.reply(exchange.response, page ?? refusal.getResponse(), refusal.getStatus());
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

/** The header fields of the page: nothing may run in it, nothing is loaded by it. */
const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
} as const;

/** The page of a refusal, in plain words; the code stands at its foot for whoever is asked for help. */
function refusalPage(refusal: DownloadRefusal): string {
  const status = refusal.getStatus();
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(refusal.message)}</title>
<style>
  :root { color-scheme: light dark; font: 17px/1.55 system-ui, sans-serif; }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText; }
  main { max-width: 30rem; padding: 2rem; }
  h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem; }
  p { margin: 0 0 1.5rem; }
  small { opacity: .65; font-family: ui-monospace, monospace; }
</style>
<main>
  <h1>${escapeHtml(refusal.message)}</h1>
  <p>${escapeHtml(refusal.advice)}</p>
  <small>${status} ${STATUS_CODES[status] ?? ''} · ${refusal.code}</small>
</main>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
