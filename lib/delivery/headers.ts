import type { ResponsePort } from '../http/response-port.js';
import { writeDigests } from './digest.js';
import { contentDisposition, isAttachment, readDisposition, repairDisposition } from './disposition.js';
import type { DispositionType } from './disposition.js';
import { formatHttpDate } from './http-date.js';
import type { BodyLayout } from './multipart.js';
import type { PreparedHeaders } from './prepared-headers.js';
import type { Representation } from './representation.js';
import type { PlannedDelivery } from './watch.js';

/** What a link fixes about saving. It wins over everything else. */
export interface DeliveryOverrides {
  readonly filename?: string;
  readonly disposition?: DispositionType;
}

/** Sets status and headers; `Content-Type` is left to the `StreamableFile`, but for several parts. */
export function writeFields(
  headers: PreparedHeaders,
  plan: PlannedDelivery,
  representation: Representation,
  layout: BodyLayout,
  overrides: DeliveryOverrides = {},
): void {
  const { port } = headers;
  const { status, contentRange, offload } = plan;
  const isError = status === 412 || status === 416;
  if (isError || status === 304) {
    headers.removeBodyFields();
  } else {
    writeSaving(headers, representation, overrides);
    writeBodyFields(port, plan, layout);
  }
  if (isError) {
    port.set('Content-Length', 0);
    headers.forbidCaching();
  }
  if (contentRange !== undefined && !offload) {
    port.set('Content-Range', contentRange);
  }
  writeValidators(port, plan, representation);
  // The proxy answers to the range itself, and takes any other status for an answer of ours
  const sent = offload ? 200 : status;
  if (port.status !== sent) {
    port.status = sent;
  }
}

/**
 * A 304 repeats the entity tag; `Last-Modified` only where there is none (RFC 9110 §15.4.5). A modification
 * time in the future is sent as now (§8.8.2.1).
 */
function writeValidators(
  port: ResponsePort,
  { status, offload }: PlannedDelivery,
  { etag, lastModified, seekable }: Representation,
): void {
  port.setDefault('ETag', etag);
  if (lastModified !== undefined && !(status === 304 && etag !== undefined)) {
    port.setDefault('Last-Modified', formatHttpDate(Math.min(lastModified, Date.now())));
  }
  // nginx adds its own to a 200, and would send both
  if (status !== 304 && !(offload && status === 200)) {
    port.setDefault('Accept-Ranges', seekable ? 'bytes' : 'none');
  }
}

/** How a client saves or shows the content, and how it can check it. */
function writeSaving(
  headers: PreparedHeaders,
  representation: Representation,
  overrides: DeliveryOverrides,
): void {
  const { port } = headers;
  const disposition = dispositionField(headers, representation, overrides);
  port.set('Content-Disposition', disposition);
  if (representation.options?.digest) {
    writeDigests(port, representation.options.digest);
  }
  if (!isAttachment(disposition) && mayRunScript(representation.type)) {
    headers.addPolicy();
  }
}

function writeBodyFields(port: ResponsePort, plan: PlannedDelivery, layout: BodyLayout): void {
  if (layout.boundary !== undefined) {
    port.set('Content-Type', `multipart/byteranges; boundary=${layout.boundary}`);
  }
  if (plan.offload) {
    port.remove('Content-Length');
    port.set(plan.offload.name, plan.offload.value);
    return;
  }
  if (plan.status === 204) {
    // Not even where the handler set them (RFC 9110 §8.6, RFC 9112 §6.1)
    port.remove('Content-Length');
    port.remove('Transfer-Encoding');
    return;
  }
  const length = contentLength(plan, layout);
  if (length !== undefined && port.get('Transfer-Encoding') === undefined) {
    port.set('Content-Length', length);
    // Only a chunked answer has one (RFC 9110 §6.5.1); Node breaks off any other that announces it
    port.remove('Trailer');
  }
}

/** What the link, the handler, the content and the route say about saving, in this order. */
function dispositionField(
  { port, options }: PreparedHeaders,
  representation: Representation,
  { filename, disposition }: DeliveryOverrides,
): string {
  const written = port.get('Content-Disposition') ?? representation.disposition;
  if (written === undefined) {
    const type = disposition ?? representation.options?.disposition ?? options.disposition;
    return contentDisposition(type, filename ?? representation.filename);
  }
  if (filename === undefined && disposition === undefined) {
    return repairDisposition(written);
  }
  const found = readDisposition(written);
  return contentDisposition(disposition ?? found.type, filename ?? found.filename);
}

/** What browsers show without running a script that stands in it; a type that ends in `+xml` is XML. */
const PASSIVE_TYPE =
  /^(?:application\/pdf|text\/plain|(?:audio|image|video)\/(?!svg)[\w.-]+)[ \t]*(?:;[^,]*)?$/i;

/** Whether content of a type could run a script where it is shown: HTML, XML, SVG, and unknown types. */
function mayRunScript(type: string): boolean {
  return !PASSIVE_TYPE.test(type);
}

/** HEAD has that of a GET. A 205 has content that is empty, not content left out (RFC 9110 §15.3.6). */
function contentLength(
  { status, intervals, length }: PlannedDelivery,
  layout: BodyLayout,
): number | undefined {
  if (status === 205) {
    return 0;
  }
  return intervals.length === 0 || layout.length === Infinity ? length : layout.length;
}
