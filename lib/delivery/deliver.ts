import { StreamableFile } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { DeliveryBody } from './body.js';
import { Download } from './download.js';
import type { DeliverableContent, DownloadEnd, RedirectContent } from './download-options.js';
import { FailureHooks, logFailure, missingFile, toHttpException, wrappedFile } from './failure.js';
import { writeFields } from './headers.js';
import type { DeliveryOverrides } from './headers.js';
import { multipartLayout, plainLayout } from './multipart.js';
import type { BodyLayout } from './multipart.js';
import { delegate } from './offload.js';
import { firstRange } from './byte-range.js';
import { planDelivery } from './plan.js';
import { isPlainResponse, keepFromEncoding } from './plain-response.js';
import { field, requestFields } from './preconditions.js';
import type { PreparedHeaders } from './prepared-headers.js';
import { represent } from './represent.js';
import { discard } from './representation.js';
import type { Representation } from './representation.js';
import { DeliveryRun } from './run.js';
import type { DeliveryOutcome, DeliveryWatch, PlannedDelivery } from './watch.js';

export interface DeliveryContext {
  /** Node's own request. */
  readonly request: IncomingMessage;
  readonly headers: PreparedHeaders;
  readonly overrides?: DeliveryOverrides;
  readonly watch?: DeliveryWatch;
}

/**
 * Answers a request with what a handler returned: decides by RFC 9110 (§13 conditions, §14 ranges), and
 * returns the `StreamableFile` that sets status and headers and whose stream carries the decision out.
 *
 * @throws HttpException before any header: 404 for a missing file, 500 for content that cannot be read; and
 *   what the watch's `planned` threw
 */
export async function deliver(
  result: StreamableFile | Download,
  context: DeliveryContext,
): Promise<StreamableFile> {
  const { headers } = context;
  const content = result instanceof Download ? result.take() : result;
  const hooks = new FailureHooks(result, headers.port);
  if (!(content instanceof StreamableFile) && content.kind === 'redirect') {
    return redirect(content, hooks, context);
  }
  try {
    return await answer(content, hooks, context);
  } catch (error) {
    headers.removeFileFields();
    if (hooks.answer()) {
      return nothingMore();
    }
    throw error;
  }
}

async function answer(
  content: StreamableFile | DeliverableContent,
  hooks: FailureHooks,
  context: DeliveryContext,
): Promise<StreamableFile> {
  const { request, headers, watch = {} } = context;
  const { port, options } = headers;
  const { method = 'GET' } = request;
  const fields = requestFields(request);
  const wanted = firstRange(field(fields, 'range'));
  const representation = await represent(content, port, options.ranges, wanted).catch((error: unknown) => {
    throw toHttpException(error, hooks);
  });
  let plan: PlannedDelivery;
  try {
    const { maxRanges } = options;
    plan = planDelivery({ method, fields, status: port.status, maxRanges, now: Date.now() }, representation);
    if (port.raw.headersSent) {
      // Another interceptor stopped waiting: do not count a download that is not sent
      await discard(representation);
      return nothingMore();
    }
    if (!watch.countsBytes) {
      const wanted = representation.options?.offload ?? options.offload;
      plan = { ...plan, offload: await delegate(wanted, representation.path, fields, plan) };
    }
    await watch.planned?.(plan);
  } catch (error) {
    await discard(representation);
    throw error;
  }
  return carryOut(plan, representation, hooks, context);
}

async function carryOut(
  plan: PlannedDelivery,
  representation: Representation,
  hooks: FailureHooks,
  { request, headers, overrides, watch = {} }: DeliveryContext,
): Promise<StreamableFile> {
  const { port } = headers;
  const { source, missing, type } = representation;
  const layout = layOut(plan, type);
  const run = new DeliveryRun(port, plan.status, layout.content, watch, hooks, (outcome) =>
    representation.ended?.(endOf(outcome, plan)),
  );
  try {
    if (plan.method === 'HEAD' && plan.status === 200 && missing && plan.length) {
      await source.read(0, 1, 1, false);
    }
    const body = await openBody(representation, layout, run, headers);
    if (port.raw.headersSent) {
      body.destroy();
      return nothingMore();
    }
    const restoreFileFields = headers.withholdFileFields();
    const hasType = plan.status !== 304 && plan.status !== 412 && plan.status !== 416;
    return new DeliveredFile(body, hasType ? type : undefined, () => {
      try {
        restoreFileFields();
        writeFields(headers, plan, representation, layout, overrides);
        if (layout.length > 0) {
          keepFromEncoding(request, port);
        }
      } catch (error) {
        run.cancel(error);
        body.destroy();
        headers.removeFileFields();
        throw error;
      }
    });
  } catch (error) {
    run.cancel(error);
    void source.close().catch(logFailure);
    throw missing?.(error) ? missingFile(error) : toHttpException(error, hooks);
  }
}

function layOut({ intervals, length, offload }: PlannedDelivery, type: string): BodyLayout {
  if (offload) {
    return plainLayout([]);
  }
  return intervals.length > 1 ? multipartLayout(intervals, length, type) : plainLayout(intervals);
}

/**
 * The body with its first chunk read, so that what cannot be read is an error answer and not a broken
 * connection.
 */
async function openBody(
  { source }: Representation,
  layout: BodyLayout,
  run: DeliveryRun,
  { port, options }: PreparedHeaders,
): Promise<DeliveryBody> {
  const body = new DeliveryBody(layout, source, run);
  const gone = run.gone.then(() => {
    body.abandon();
    source.free?.();
  });
  if (layout.length === 0) {
    void source.close().catch(logFailure);
    return body;
  }
  run.watchStall(options.stallTimeout);
  await Promise.race([body.reader.prime(isPlainResponse(port.raw)), gone]);
  return body;
}

/** The file that a handler returned, or those that an interceptor wrapped: `{ data: file }`, `[file]`. */
function filesIn(result: unknown): StreamableFile[] {
  const isPlain =
    Array.isArray(result) ||
    (typeof result === 'object' && result !== null && Object.getPrototypeOf(result) === Object.prototype);
  const found: unknown[] = isPlain ? Object.values(result as object) : [result];
  return found.filter((one) => one instanceof StreamableFile);
}

/** Whether an interceptor made a file part of something else, or copied its members: `{ ...file }`. */
export function holdsFile(result: unknown): boolean {
  const { stream } = Object(result) as { stream?: Partial<Readable> };
  return !(result instanceof StreamableFile) && (stream?.pipe !== undefined || filesIn(result).length > 0);
}

/** Closes what a handler returned and that is not sent. */
export function discardResult(result: unknown): void {
  for (const file of filesIn(result)) {
    // A stream of the old style may have neither
    const stream = file.getStream() as Partial<Readable>;
    stream.on?.('error', () => {});
    stream.destroy?.();
  }
}

/** For Nest, where another answer is already sent. */
function nothingMore(): StreamableFile {
  return new DeliveredFile(undefined, undefined, () => {});
}

function endOf(
  { completed, status, bytes }: DeliveryOutcome,
  { method, length }: PlannedDelivery,
): DownloadEnd {
  const isWhole = method !== 'HEAD' && status < 300 && bytes === (length ?? bytes);
  return { completed: completed && isWhole, bytes };
}

/**
 * Sends the client to another URL: 302, or 303 where a form was posted, which is then fetched by GET (RFC
 * 9110 §15.4.4). The referrer policy is ours whatever the options say, since this request's URL may hold a
 * token. The route's `Cache-Control` is for files: a cached redirect would outlive a presigned URL.
 */
async function redirect(
  { url, cacheControl }: RedirectContent,
  hooks: FailureHooks,
  { request, headers, watch = {} }: DeliveryContext,
): Promise<StreamableFile> {
  const { port, options } = headers;
  const { method = 'GET' } = request;
  const status = method === 'GET' || method === 'HEAD' ? 302 : 303;
  await watch.planned?.({
    method,
    status,
    reason: 'redirect',
    intervals: [],
    ranged: false,
    ifRangeMatched: false,
  });
  new DeliveryRun(port, status, 0, watch, hooks);
  const written = port.get('Cache-Control');
  const ofHandler = written === options.cacheControl ? undefined : written;
  headers.removeFileFields();
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

function emptyBody(): Readable {
  const body = new Readable();
  body.push(null);
  return body;
}

/**
 * What Nest sends: the body, and the headers, which are set when Nest asks for them. The type is left to
 * Nest: set on Express' own response, it would get a charset.
 */
export class DeliveredFile extends StreamableFile {
  readonly #type: string | undefined;
  #writeHeaders: (() => void) | undefined;

  /**
   * @param body undefined: none, as for HEAD and 304
   * @param type undefined: no `Content-Type`
   * @param writeHeaders sets status and headers; called once, and not where something else is sent
   */
  constructor(body: Readable | undefined, type: string | undefined, writeHeaders: () => void) {
    super(body ?? emptyBody());
    // An interceptor may copy the members of every answer, and this stream with them
    Object.assign(this.getStream(), { toJSON: () => this.toJSON() });
    this.#type = type;
    this.#writeHeaders = writeHeaders;
    // A body that fails destroys the response itself and logs why
    this.setErrorHandler((_error, response) => response.destroy?.());
    this.setErrorLogger(() => {});
  }

  override getHeaders(): ReturnType<StreamableFile['getHeaders']> {
    const writeHeaders = this.#writeHeaders;
    this.#writeHeaders = undefined;
    writeHeaders?.();
    return { type: this.#type as string, disposition: undefined, length: undefined };
  }

  /** @throws DownloadAuthConfigurationError a file that became part of something else cannot be sent */
  toJSON(): never {
    throw wrappedFile();
  }
}
