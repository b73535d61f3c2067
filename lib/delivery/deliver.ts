import { StreamableFile } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import type { ResponsePort } from '../http/response-port.js';
import { DeliveredFile, DeliveryBody } from './body.js';
import { Download } from './download.js';
import type { DownloadEnd, RedirectContent } from './download.js';
import { FailureHooks, missingFile, toHttpException } from './failure.js';
import { removeFileFields, withholdFileFields, writeFields } from './headers.js';
import type { DeliveryOverrides } from './headers.js';
import { multipartLayout, plainLayout, randomBoundary } from './multipart.js';
import type { BodyLayout } from './multipart.js';
import { delegate } from './offload.js';
import type { Delegation } from './offload.js';
import type { ResolvedDelivery } from './options.js';
import { planDelivery } from './plan.js';
import type { DeliveryPlan } from './plan.js';
import { requestFields } from './preconditions.js';
import { keepFromEncoding } from './prepared-headers.js';
import type { PreparedHeaders } from './prepared-headers.js';
import { NOTHING_SENT, representDownload, representStreamable } from './represent.js';
import { withHandlerFields } from './representation.js';
import type { Representation } from './representation.js';
import { DeliveryRun } from './run.js';
import type { DeliveryOutcome, DeliveryWatch, PlannedDelivery } from './watch.js';

/** Everything a delivery needs beside its content. */
export interface DeliveryContext {
  /** Node's own request. */
  readonly request: IncomingMessage;
  /** The headers of the answer, as they were prepared before the handler ran. */
  readonly headers: PreparedHeaders;
  readonly options: ResolvedDelivery;
  readonly overrides?: DeliveryOverrides;
  readonly watch?: DeliveryWatch;
}

const DEFAULT_TYPE = 'application/octet-stream';

/**
 * Answers a request with what a handler returned: decides by RFC 9110 (§13 conditions, §14 ranges), and
 * returns the `StreamableFile` that sets status and headers and whose stream carries the decision out.
 *
 * A header that the handler set wins; its `ETag` and `Last-Modified` are those that conditions are compared
 * with. A handler that chose a status other than 200 gets its content sent whole under that status.
 *
 * @returns what the interceptor returns to Nest
 * @throws HttpException before any header: 404 for a missing file, 500 for content that cannot be read; and
 *   what the observer's `planned` threw
 */
export async function deliver(result: StreamableFile | Download, context: DeliveryContext): Promise<unknown> {
  const { port } = context.headers;
  const method = context.request.method ?? 'GET';
  if (result instanceof Download && result.content.kind === 'redirect') {
    return redirect(result.content, method, port, context);
  }
  const hooks = new FailureHooks(result instanceof Download ? undefined : result, port);
  try {
    return await answer(result, method, port, hooks, context);
  } catch (error) {
    removeFileFields(port);
    const instead = hooks.answer();
    if (instead) {
      return instead;
    }
    throw error;
  }
}

async function answer(
  result: StreamableFile | Download,
  method: string,
  port: ResponsePort,
  hooks: FailureHooks,
  context: DeliveryContext,
): Promise<StreamableFile> {
  const { request } = context;
  const found = await represent(result, hooks);
  try {
    const representation = await withHandlerFields(found, port, context.options.ranges);
    const plan = planDelivery(
      {
        method,
        fields: requestFields(request),
        status: port.status,
        maxRanges: context.options.maxRanges,
        now: Date.now(),
      },
      representation,
    );
    if (port.raw.headersSent) {
      // Another interceptor stopped waiting: do not count a download that is not sent
      await found.close();
      found.ended?.(NOTHING_SENT);
      return nothingMore();
    }
    const delegation = await delegate(
      context.watch?.countsBytes ? false : (representation.offload ?? context.options.offload),
      representation.path,
      request.headers,
      plan,
    );
    await context.watch?.planned?.(toPlanned(method, plan, representation, delegation));
    return await carryOut(plan, representation, delegation, port, hooks, context);
  } catch (error) {
    await found.close().catch(() => {});
    found.ended?.(NOTHING_SENT);
    throw error;
  }
}

async function represent(result: StreamableFile | Download, hooks: FailureHooks): Promise<Representation> {
  try {
    if (!(result instanceof Download)) {
      return await representStreamable(result);
    }
    if (result.content.kind === 'redirect') {
      throw new TypeError('A redirect has no representation.');
    }
    return await representDownload(result.content);
  } catch (error) {
    throw toHttpException(error, hooks);
  }
}

async function carryOut(
  plan: DeliveryPlan,
  representation: Representation,
  delegation: Delegation | undefined,
  port: ResponsePort,
  hooks: FailureHooks,
  context: DeliveryContext,
): Promise<StreamableFile> {
  const type = port.get('Content-Type') ?? representation.type ?? DEFAULT_TYPE;
  const boundary = plan.multipart ? randomBoundary() : undefined;
  const layout = delegation ? plainLayout([]) : layOut(plan, representation, type, boundary);
  const { method } = context.request;
  const run = new DeliveryRun(port, plan.status, layout, context.watch ?? {}, hooks, (outcome) =>
    representation.ended?.(endOf(outcome, method, representation)),
  );
  try {
    if (method === 'HEAD' && plan.status === 200 && representation.missing && representation.length) {
      await probe(representation);
    }
    const body = await openBody(representation, layout, run, context.options, port);
    if (port.raw.headersSent) {
      body?.destroy();
      return nothingMore();
    }
    const restoreFileFields = withholdFileFields(port);
    const hasType = plan.status !== 304 && plan.status !== 412 && plan.status !== 416;
    return new DeliveredFile(body, hasType ? type : undefined, () => {
      try {
        restoreFileFields();
        writeFields(port, {
          plan,
          representation,
          layout,
          boundary,
          delegation,
          type,
          context,
          now: Date.now(),
        });
        if (body) {
          keepFromEncoding(context.request, port);
        }
      } catch (error) {
        run.cancel(error);
        body?.destroy();
        removeFileFields(port);
        throw error;
      }
    });
  } catch (error) {
    run.cancel(error);
    throw representation.missing?.(error) ? missingFile(error) : toHttpException(error, hooks);
  }
}

/** Reads the first byte, and throws what the source throws. */
async function probe(representation: Representation): Promise<void> {
  const bytes = representation.bytes();
  try {
    await bytes.read(0, 1, 1, false);
  } finally {
    await bytes.close();
  }
}

/** For Nest, which has stopped waiting: another answer is already sent. */
function nothingMore(): StreamableFile {
  return new StreamableFile(Buffer.alloc(0));
}

function endOf(
  { completed, status, bytes }: DeliveryOutcome,
  method: string | undefined,
  { length }: Representation,
): DownloadEnd {
  const isWhole = method !== 'HEAD' && status < 300 && bytes === (length ?? bytes);
  return { completed: completed && isWhole, bytes };
}

function layOut(
  plan: DeliveryPlan,
  { length }: Representation,
  type: string,
  boundary: string | undefined,
): BodyLayout {
  return boundary !== undefined && length !== undefined
    ? multipartLayout(plan.intervals, length, type, boundary)
    : plainLayout(plan.intervals);
}

/**
 * The body with its first chunk read, so that what cannot be read is an error answer and not a broken
 * connection; undefined where none is sent.
 */
async function openBody(
  representation: Representation,
  layout: BodyLayout,
  run: DeliveryRun,
  { stallTimeout }: ResolvedDelivery,
  port: ResponsePort,
): Promise<DeliveryBody | undefined> {
  if (layout.length === 0) {
    await representation.close();
    return undefined;
  }
  const body = new DeliveryBody(layout, representation.bytes(), run);
  let isGone = false;
  const gone = run.gone.then(() => {
    isGone = true;
    if (!body.readableEnded) {
      body.abandon();
    }
  });
  try {
    const primed = body.prime(layout.length, port.raw);
    primed.catch(() => {});
    await Promise.race([primed, gone]);
  } catch (error) {
    if (!isGone) {
      body.destroy();
      throw error;
    }
  }
  if (!isGone) {
    run.watchStall(stallTimeout);
  }
  return body;
}

function toPlanned(
  method: string,
  { status, reason, intervals, ranged, ifRangeMatched }: DeliveryPlan,
  { length, etag }: Representation,
  delegation: Delegation | undefined,
): PlannedDelivery {
  return {
    method,
    status,
    reason,
    length,
    intervals,
    etag,
    ranged,
    ifRangeMatched,
    delegated: delegation?.to,
  };
}

/**
 * Sends the client to another URL: 302, or 303 where a form was posted, which is then fetched by GET
 * (RFC 9110 §15.4.4). The URL goes out as it is; the referrer policy is ours whatever the options say, since
 * this request's URL may hold a token. The route's `Cache-Control` is for files: a cached redirect would
 * outlive the presigned URL that it leads to.
 */
async function redirect(
  { url, cacheControl }: RedirectContent,
  method: string,
  port: ResponsePort,
  { options, watch = {} }: Pick<DeliveryContext, 'options' | 'watch'>,
): Promise<DeliveredFile> {
  const status = method === 'GET' || method === 'HEAD' ? 302 : 303;
  await watch.planned?.({
    method,
    status,
    reason: 'redirect',
    intervals: [],
    ranged: false,
    ifRangeMatched: false,
    delegated: 'redirect',
  });
  new DeliveryRun(port, status, plainLayout([]), watch);
  const written = port.get('Cache-Control');
  const ofHandler = written === options.cacheControl ? undefined : written;
  removeFileFields(port);
  return new DeliveredFile(undefined, undefined, () => {
    const chosen = cacheControl ?? ofHandler;
    if (chosen !== undefined) {
      port.set('Cache-Control', chosen);
    }
    port.status = status;
    port.set('Location', url);
    port.set('Referrer-Policy', 'no-referrer');
    port.set('Content-Length', 0);
  });
}
