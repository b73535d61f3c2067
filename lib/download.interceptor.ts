import { Inject, Injectable, Logger, StreamableFile } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { catchError, concatAll, from, Observable } from 'rxjs';
import { DeliveredFile, deliver, discardResult, holdsFile } from './delivery/deliver.js';
import { wrappedFile } from './delivery/failure.js';
import { resolveDelivery } from './delivery/options.js';
import { PreparedHeaders, RouteHeaders } from './delivery/prepared-headers.js';
import { RunningDeliveries } from './delivery/run.js';
import { admissionNote, watchNote } from './delivery/watch.js';
import { answersItself, declaredFields } from './http/handler-metadata.js';
import { exchangeOf } from './http/http-exchange.js';
import type { HttpExchange } from './http/http-exchange.js';
import { beforeHead, ResponsePort } from './http/response-port.js';
import { isUnasked } from './links/download-links.js';
import { DownloadAuthConfigurationError } from './shared/configuration-error.js';
import { PerRoute } from './http/notes.js';
import { DownloadRefusal } from './refusals/download-refusal.js';
import { RESOLVED_OPTIONS } from './resolve-options.js';
import type { ResolvedOptions } from './resolve-options.js';
import { RequestReport } from './request-report.js';
import { routeOptions } from './route-options.js';
import { grantNote, grantOf, otherWayNote } from './tokens/grant.js';
import type { DownloadGrant, GrantedLink } from './tokens/grant.js';

interface DownloadRoute {
  readonly name: string;
  readonly headers: RouteHeaders;
  /** The options of the module or of the route say how files are cached. */
  readonly hasCacheControl: boolean;
  hasWarned: boolean;
}

/**
 * Delivers what a handler marked `@StreamDownload()` returns: a `StreamableFile` or a `Download`. Anything
 * else passes, but not under a limited link, whose downloads could not be counted then.
 */
@Injectable()
export class DownloadInterceptor implements NestInterceptor {
  private readonly logger = new Logger('DownloadDelivery');
  private readonly routes = new PerRoute<DownloadRoute>();

  constructor(
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(RunningDeliveries) private readonly running: RunningDeliveries,
    @Inject(RequestReport) private readonly report: RequestReport,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const route = this.routeOf(context);
    const exchange = exchangeOf(context);
    const { request, response } = exchange;
    const grant = grantOf(request);
    const link = grant?.link;
    const isLimited = link?.maxDownloads !== undefined;
    if (isLimited && route.headers.answersItself) {
      throw uncountable(route.name);
    }
    const headers = new PreparedHeaders(new ResponsePort(response), this.headersOf(route, grant));
    if (grant?.transport === 'cookie' || grant?.transport === 'companion') {
      headers.varyBy('Cookie');
    }
    const isHeldBack = link && (isLimited || isUnasked(link));
    const release = isHeldBack ? this.holdBack(headers.port, request, link, route.name) : () => {};
    return this.answerOf(this.handled(context, next, headers), exchange, headers, route, release);
  }

  /** Of several files, the last is sent, unless the handler fails. By hand: operators took 4 % more CPU. */
  private answerOf(
    handled: Observable<unknown>,
    exchange: HttpExchange,
    headers: PreparedHeaders,
    route: DownloadRoute,
    release: () => void,
  ): Observable<unknown> {
    return new Observable((subscriber) => {
      let file: StreamableFile | undefined;
      let hasAnswer = false;
      let answered = Promise.resolve();
      const fail = (error: unknown) => {
        if (!subscriber.closed) {
          this.report.failed(exchange, error);
          headers.fail();
          subscriber.error(error);
        }
      };
      const answer = async (result: unknown) => {
        if (subscriber.closed) {
          return;
        }
        file = result === file ? undefined : file;
        const value = await this.answer(result, exchange, headers, route);
        hasAnswer = true;
        subscriber.next(value);
      };
      const queue = (result: unknown) => {
        answered = answered.then(() => answer(result));
        answered.catch(fail);
      };
      const handling = handled.subscribe({
        next: (result) => {
          release();
          if (result instanceof StreamableFile) {
            discardResult(file);
            file = result;
          } else {
            queue(result);
          }
        },
        error: fail,
        complete: () => {
          if (file) {
            queue(file);
          }
          void answered.then(() => subscriber.complete(), fail);
        },
      });
      return () => {
        handling.unsubscribe();
        release();
        discardResult(file);
        // An interceptor outside of this one that waits no longer answers with an error of its own
        if (!hasAnswer) {
          headers.fail();
        }
      };
    });
  }

  /**
   * What the handler returns. A companion cookie that it refuses, because of its state, counts as absent
   * where something else lets the request in: then it is asked again.
   */
  private handled(
    context: ExecutionContext,
    next: CallHandler,
    headers: PreparedHeaders,
  ): Observable<unknown> {
    const { request } = exchangeOf(context);
    const otherWay = otherWayNote.get(request);
    if (!otherWay) {
      return next.handle();
    }
    otherWayNote.clear(request);
    const again = async (error: unknown) => {
      const isRefused = error instanceof DownloadRefusal && error.code === 'LINK_REVOKED';
      const grant = isRefused && (await otherWay(error));
      if (!grant) {
        throw error;
      }
      grantNote.set(request, grant);
      headers.fail();
      return this.intercept(context, next);
    };
    return next.handle().pipe(catchError((error: unknown) => from(again(error)).pipe(concatAll())));
  }

  private async answer(
    result: unknown,
    exchange: HttpExchange,
    headers: PreparedHeaders,
    route: DownloadRoute,
  ): Promise<unknown> {
    // Where a handler and its controller are both marked, this interceptor runs twice
    if (result instanceof DeliveredFile) {
      return result;
    }
    const { request } = exchange;
    const link = grantOf(request)?.link;
    try {
      if (link && isUnasked(link)) {
        throw unasked(route.name);
      }
      await admissionNote.get(request)?.();
      if (holdsFile(result)) {
        throw wrappedFile();
      }
    } catch (error) {
      discardResult(result);
      throw error;
    }
    if (!(result instanceof StreamableFile)) {
      if (link?.maxDownloads !== undefined) {
        throw uncountable(route.name);
      }
      this.warnOf(result, headers.port, route);
      headers.restore();
      return result;
    }
    this.running.add(headers.port.raw);
    return deliver(result, {
      request: exchange.rawRequest,
      headers,
      watch: this.report.watching(exchange, watchNote.get(request)),
      overrides: { filename: link?.filename, disposition: link?.disposition },
    });
  }

  /**
   * Breaks an answer off that a handler sends behind Nest's back, where the route's metadata does not tell.
   */
  private holdBack(port: ResponsePort, request: object, link: GrantedLink, name: string): () => void {
    return beforeHead(port.raw, (status) => {
      const error = whyNotNow(request, link, name);
      if (status < 400 && error) {
        this.logger.error(error.message);
        port.destroy();
      }
    });
  }

  private warnOf(result: unknown, { raw }: ResponsePort, route: DownloadRoute): void {
    if (route.hasWarned || route.headers.answersItself || raw.headersSent) {
      return;
    }
    route.hasWarned = true;
    this.logger.warn(
      `${route.name} is marked @StreamDownload() and returned ${kindOf(result)}, so the answer has no ranges, ` +
        'validators or file name. Return a StreamableFile or a Download, such as Download.file(path) or ' +
        'Download.buffer(Buffer.from(text)).',
    );
  }

  /**
   * What a link opens that is the same for a while may be cached as long, by the browser alone. A cache finds
   * it by its URL, so that must hold the token, or by `Vary`.
   */
  private headersOf(route: DownloadRoute, { link, transport }: Partial<DownloadGrant> = {}): RouteHeaders {
    const { options, declared, answersItself } = route.headers;
    const isFoundByToken = transport === 'query' || transport === 'companion';
    const mayBeCached = isFoundByToken && !route.hasCacheControl && !answersItself;
    if (link?.reuseWithin === undefined || !mayBeCached) {
      return route.headers;
    }
    const left = (link.expiresAt.getTime() - this.options.clock()) / 1000;
    const seconds = Math.floor(Math.max(0, Math.min(left, link.reuseWithin)));
    const cacheControl = `private, max-age=${seconds}, no-transform`;
    return new RouteHeaders({ ...options, cacheControl }, declared, answersItself);
  }

  private routeOf(context: ExecutionContext): DownloadRoute {
    return this.routes.of(context, () => {
      const [controllerClass, method] = [context.getClass(), context.getHandler()];
      const given = [this.options.delivery, routeOptions(controllerClass, method).delivery];
      return {
        name: `${controllerClass.name}.${method.name}`,
        hasWarned: false,
        hasCacheControl: given.some((options) => options?.cacheControl !== undefined),
        headers: new RouteHeaders(
          resolveDelivery(...given),
          declaredFields(method),
          answersItself(controllerClass, method),
        ),
      };
    });
  }
}

function kindOf(result: unknown): string {
  if (result === undefined || result === null) {
    return 'nothing';
  }
  if (result instanceof Uint8Array) {
    return 'bytes';
  }
  return typeof result === 'object' ? 'an object' : `a ${typeof result}`;
}

/** Why a handler that runs under a link cannot send its answer itself. */
function whyNotNow(
  request: object,
  link: GrantedLink,
  route: string,
): DownloadAuthConfigurationError | undefined {
  if (link.maxDownloads !== undefined) {
    return uncountable(route);
  }
  return isUnasked(link) ? unasked(route) : admissionNote.get(request) && unadmitted(route);
}

function unadmitted(route: string): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    `${route} sends its answer before it is known whether the link was revoked. Return the answer, or write @Res() ` +
      'in its parameters, so that it is found out before the handler runs.',
  );
}

function unasked(route: string): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    `${route} does not look at the state that a link was made with. Write links.requireState(grant, share.updatedAt) in it, ` +
      'with what the link was made with, before it returns.',
  );
}

function uncountable(route: string): DownloadAuthConfigurationError {
  return new DownloadAuthConfigurationError(
    `${route}, the handler behind a link with maxDownloads, sends something that cannot be counted: ` +
      'return a StreamableFile or a Download, such as Download.buffer(Buffer.from(text)). ' +
      'Write @Res({ passthrough: true }) in place of @Res() and @Next().',
  );
}
