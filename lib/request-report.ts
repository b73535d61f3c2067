import { HttpException, Inject, Injectable } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import { debuglog } from 'node:util';
import type { DeliveryWatch } from './delivery/watch.js';
import { claimantNote, transportNote } from './events/claimant.js';
import { DownloadEvents } from './events/download-events.js';
import { requestPath } from './http/http-exchange.js';
import type { HttpExchange } from './http/http-exchange.js';
import { redactUrl } from './http/redact-url.js';
import { RequestNote } from './http/notes.js';
import { ResponsePort } from './http/response-port.js';
import { LinkReply } from './prompts/link-prompts.js';
import { DownloadRefusal, leaveToApplication } from './refusals/download-refusal.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';

const debug = debuglog('download-auth');

/** What `NODE_DEBUG=download-auth` prints of a request once it is answered. */
interface DebugLine {
  route: string;
  decision?: string;
  reasons: (string | undefined)[];
  /** Bytes of the file that were sent; undefined where no file was. */
  bytes?: number;
}

const lineNote = new RequestNote<DebugLine>('debug line');
const failureNote = new RequestNote<unknown>('failure');

/** Reports what becomes of a request: as `refused` events, and as one line for `NODE_DEBUG=download-auth`. */
@Injectable()
export class RequestReport {
  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(DownloadEvents) private readonly events: DownloadEvents,
  ) {}

  /** Starts the debug line; a request that is forwarded to another handler keeps its line. */
  begin(exchange: HttpExchange, context: ExecutionContext): void {
    failureNote.clear(exchange.request);
    if (!debug.enabled) {
      return;
    }
    const route = `${context.getClass().name}.${context.getHandler().name}`;
    if (!lineNote.get(exchange.request)) {
      const startedAt = performance.now();
      // After the other listeners of this event, which tell how many bytes were sent
      exchange.rawResponse.once('close', () => setImmediate(() => printLine(exchange, startedAt)));
    }
    lineNote.set(exchange.request, { route, reasons: [] });
  }

  /** @param decision such as `granted=link`, for the debug line */
  decided({ request }: HttpExchange, decision: string): void {
    const line = lineNote.get(request);
    if (line) {
      line.decision = decision;
    }
  }

  /**
   * The request ends without the file: with our refusal, with the page of a link that asks something, or with
   * whatever else a handler or the delivery threw. A refusal that comes too late for an answer is not left to
   * the application: its filter would write into a body.
   */
  failed(exchange: HttpExchange, error: unknown): void {
    const { request } = exchange;
    if (failureNote.get(request) === error) {
      return;
    }
    failureNote.set(request, error);
    const line = lineNote.get(request);
    if (error instanceof LinkReply) {
      this.decided(exchange, `prompted${error.refusal ? ` refused=${error.refusal.code}` : ''}`);
      if (error.refusal) {
        this.emitRefused(error.refusal, exchange);
      }
      return;
    }
    const port = new ResponsePort(exchange.response);
    if (!(error instanceof DownloadRefusal)) {
      line?.reasons.push(`threw ${error instanceof Error ? error.name : typeof error}${causeOf(error)}`);
      if (!port.hasBegun) {
        // Caches keep a 404 or a 410 unasked (RFC 9110 §15.1), and CDNs do so for paths with an extension
        port.setDefault('Cache-Control', 'no-store');
      }
      return;
    }
    if (line) {
      line.decision = `refused=${error.code}`;
      line.reasons.push(error.reason);
    }
    this.emitRefused(error, exchange);
    if (this.options.refusals === 'throw' && !port.hasBegun) {
      leaveToApplication(error, port);
    }
  }

  /** The watch of a delivery, which notes for the debug line what was decided and sent. */
  watching({ request }: HttpExchange, watch: DeliveryWatch = {}): DeliveryWatch {
    const line = lineNote.get(request);
    if (!line) {
      return watch;
    }
    return {
      get signal() {
        return watch.signal;
      },
      get countsBytes() {
        return watch.countsBytes;
      },
      grant: watch.grant?.bind(watch),
      sent: watch.sent?.bind(watch),
      planned: async (plan) => {
        line.reasons.push(plan.reason);
        await watch.planned?.(plan);
      },
      ended: (outcome) => {
        line.bytes = outcome.bytes;
        line.reasons.push(watch.reason, outcome.reason);
        watch.ended?.(outcome);
      },
    };
  }

  private emitRefused(refusal: DownloadRefusal, exchange: HttpExchange): void {
    if (!this.events.observed) {
      return;
    }
    const { clock, tokenNames } = this.options;
    const { request } = exchange;
    this.events.emit({
      type: 'refused',
      at: clock(),
      ...claimantNote.get(request),
      code: refusal.code,
      status: refusal.getStatus(),
      path: redactUrl(requestPath(exchange), tokenNames),
      method: request.method,
      transport: transportNote.get(request),
      address: request.ip,
      userAgent: request.headers['user-agent'],
    });
  }
}

/** What the system says of a file that is missing or unreadable; the answer does not name its path. */
function causeOf(error: unknown): string {
  const cause = error instanceof HttpException ? error.cause : undefined;
  return cause instanceof Error && 'syscall' in cause ? `: ${cause.message}` : '';
}

function printLine({ request, rawResponse }: HttpExchange, startedAt: number): void {
  const { route, decision = 'undecided', bytes = 0, reasons } = lineNote.get(request) as DebugLine;
  const { headersSent, statusCode, writableFinished } = rawResponse;
  const reason = [...reasons, writableFinished ? undefined : 'connection closed early'].filter(Boolean);
  const transport = transportNote.get(request) ?? 'none';
  const status = headersSent ? statusCode : 'none';
  const duration = Math.round(performance.now() - startedAt);
  debug(
    '%s',
    `${request.method} ${route} transport=${transport} ${decision} status=${status} bytes=${bytes} ` +
      `duration=${duration}ms${reason.length > 0 ? ` reason=${JSON.stringify(reason.join('; '))}` : ''}`,
  );
}
