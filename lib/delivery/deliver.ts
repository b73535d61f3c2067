import { StreamableFile } from '@nestjs/common';
import { type IncomingMessage } from 'node:http';
import { DeliveryBody } from './body.js';
import { DeliveredFile } from './delivered-file.js';
import { type DeliveryContext } from './delivery-context.js';
import { FailureHooks, missingFile, toHttpException } from './delivery-failure.js';
import { removeFileFields, withholdFileFields, writeFields } from './delivery-headers.js';
import { type ResolvedDelivery } from './delivery-options.js';
import { planDelivery, type DeliveryPlan } from './delivery-plan.js';
import { DeliveryRun } from './delivery-run.js';
import { type DeliveryOutcome, type PlannedDelivery } from './delivery-watch.js';
import { Download, type DownloadEnd } from './download.js';
import { keepFromEncoding } from './head-guard.js';
import { multipartLayout, plainLayout, randomBoundary, type BodyLayout } from './multipart-byteranges.js';
import { delegate, type Delegation } from './offload-delegation.js';
import { redirect } from './redirect.js';
import { withHandlerFields } from './representation/handler-fields.js';
import { NOTHING_SENT, representDownload, representStreamable } from './representation/represent.js';
import { type Representation } from './representation/representation.js';
import { requestFields } from './request-fields.js';
import { type ResponsePort } from './response-port.js';

const DEFAULT_TYPE = 'application/octet-stream';

/**
 * Answers a request with what a handler returned: decides by RFC 9110 (§13 conditions, §14 ranges), and gives
 * back the
 * `StreamableFile` that sets status and headers and whose stream carries the decision out.
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
  const method = rawRequest(context.request).method ?? 'GET';
  if (result instanceof Download && result.content.kind === 'redirect') {
    return redirect(result.content, method, port, context);
  }
  const hooks = new FailureHooks(result instanceof Download ? undefined : result, port.response);
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
  const request = rawRequest(context.request);
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
      // Another interceptor gave up waiting; a download that nobody gets is not counted
      await found.close();
      found.ended?.(NOTHING_SENT);
      return nothingMore();
    }
    const delegation = await delegate(request.headers, plan, representation, context);
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
  const { method } = rawRequest(context.request);
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
          keepFromEncoding(rawRequest(context.request), port);
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

/** Stands for an answer that is already out: Nest has stopped waiting for this one. */
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
  { status, intervals, ranged, ifRangeMatched }: DeliveryPlan,
  { length, etag }: Representation,
  delegation: Delegation | undefined,
): PlannedDelivery {
  return { method, status, length, intervals, etag, ranged, ifRangeMatched, delegated: delegation?.to };
}

/** Fastify wraps Node's request; its headers are a getter, which is why the wrapper will not do as it is. */
function rawRequest(request: unknown): IncomingMessage {
  return (request as { raw?: IncomingMessage }).raw ?? (request as IncomingMessage);
}
