import { contentDisposition, readDisposition, repairDisposition } from './content-disposition.js';
import { type ResolvedDelivery } from './delivery-options.js';
import { type DeliveryPlan } from './delivery-plan.js';
import { formatHttpDate } from './http-date.js';
import { type DeliveryContext, type DeliveryOverrides } from './delivery-context.js';
import { type BodyLayout } from './multipart-byteranges.js';
import { type Delegation } from './offload-delegation.js';
import { type ResponsePort } from './response-port.js';
import { type Representation } from './representation/representation.js';

/** Header fields by name; undefined and false send none. */
export type DeliveryFields = Readonly<Record<string, string | false | undefined>>;

/** What describes a body and has no place in an answer that carries another one, or none (RFC 9110 §15.4.5). */
const BODY_FIELDS = [
  'Content-Type',
  'Content-Length',
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Range',
  'Transfer-Encoding',
  'Trailer',
];

/** What lets a cache keep an answer; without conditions and ranges, an error would be met again under the URL. */
const CACHE_FIELDS = ['Cache-Control', 'Expires'];

/** What a handler says of a file, and must not stand in the answer that tells why there is none. */
const FILE_FIELDS = [...BODY_FIELDS, ...CACHE_FIELDS, 'ETag', 'Last-Modified', 'Accept-Ranges'];

/** Takes back what the handler said of a file that is not sent: an error saved under its name, or cached as it. */
export function removeFileFields(port: ResponsePort): void {
  if (!port.raw.headersSent) {
    removeAll(port, FILE_FIELDS);
    port.set('Cache-Control', 'no-store');
  }
}

function removeAll(port: ResponsePort, names: readonly string[]): void {
  for (const name of names) {
    port.remove(name);
  }
}

const commonOf = new WeakMap<ResolvedDelivery, DeliveryFields>();

/** Fields of every answer, 304, 412 and 416 among them: what guards the content also guards the lack of it. */
export function commonFields(options: ResolvedDelivery): DeliveryFields {
  let fields = commonOf.get(options);
  if (!fields) {
    commonOf.set(options, (fields = workOutCommonFields(options)));
  }
  return fields;
}

function workOutCommonFields(options: ResolvedDelivery): DeliveryFields {
  return {
    'Cache-Control': options.cacheControl,
    'Referrer-Policy': options.referrerPolicy,
    'X-Content-Type-Options': options.nosniff && 'nosniff',
    'Cross-Origin-Resource-Policy': options.crossOriginResourcePolicy,
    'Access-Control-Expose-Headers': options.exposeHeaders && options.exposeHeaders.join(', '),
  };
}

/**
 * Validators and `Accept-Ranges`. A 304 repeats the entity tag; `Last-Modified` only where there is none
 * (RFC 9110 §15.4.5). A modification time in the future is sent as now (§8.8.2.1).
 */
export function validatorFields(
  plan: Pick<DeliveryPlan, 'status'>,
  { etag, lastModified, seekable }: Pick<Representation, 'etag' | 'lastModified' | 'seekable'>,
  now: number,
): DeliveryFields {
  const isNotModified = plan.status === 304;
  const sendsDate = lastModified !== undefined && !(isNotModified && etag !== undefined);
  return {
    ETag: etag,
    'Last-Modified': sendsDate ? formatHttpDate(Math.min(lastModified, now)) : undefined,
    'Accept-Ranges': isNotModified ? undefined : seekable ? 'bytes' : 'none',
  };
}

/** What the link, the handler, the content and the route say about saving, in this order. */
export function dispositionField(
  representation: Pick<Representation, 'disposition' | 'dispositionType' | 'filename'>,
  handlerField: string | undefined,
  overrides: DeliveryOverrides,
  options: ResolvedDelivery,
): string {
  const written = handlerField ?? representation.disposition;
  if (written !== undefined && overrides.filename === undefined && overrides.disposition === undefined) {
    return repairDisposition(written);
  }
  const found =
    written === undefined
      ? { type: representation.dispositionType ?? options.disposition, filename: representation.filename }
      : readDisposition(written);
  return contentDisposition(overrides.disposition ?? found.type, overrides.filename ?? found.filename);
}

/** All that the headers of an answer depend on. */
export interface AnswerParts {
  readonly plan: DeliveryPlan;
  readonly representation: Representation;
  readonly layout: BodyLayout;
  readonly boundary: string | undefined;
  readonly delegation: Delegation | undefined;
  readonly context: Pick<DeliveryContext, 'options' | 'overrides'>;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Sets status and headers of an answer; `Content-Type` is left to the `StreamableFile`, but for several parts. */
export function writeFields(port: ResponsePort, parts: AnswerParts): void {
  const { plan, representation, delegation, context, now } = parts;
  const { status } = plan;
  const isError = status === 412 || status === 416;
  if (isError || status === 304) {
    removeAll(port, BODY_FIELDS);
  } else {
    writeBodyFields(port, parts);
  }
  if (isError) {
    port.set('Content-Length', 0);
    forbidCaching(port, context.options.cacheControl);
  }
  if (plan.contentRange !== undefined && !delegation) {
    port.set('Content-Range', plan.contentRange);
  }
  setDefaults(port, commonFields(context.options));
  const validators = validatorFields(plan, representation, now);
  // nginx adds its own Accept-Ranges to a 200, and would send both
  setDefaults(
    port,
    delegation && status === 200 ? { ...validators, 'Accept-Ranges': undefined } : validators,
  );
  // The proxy answers to the range itself, and takes any other status for an answer of ours
  const sent = delegation ? 200 : status;
  if (port.status !== sent) {
    port.status = sent;
  }
}

/** The default already says so, unless the route lets files be cached. */
function forbidCaching(port: ResponsePort, cacheControl: string | false): void {
  removeAll(port, CACHE_FIELDS);
  if (cacheControl && !cacheControl.includes('no-store')) {
    port.set('Cache-Control', 'no-store');
  }
}

/** Sets what nobody set before. */
export function setDefaults(port: Pick<ResponsePort, 'setDefault'>, fields: DeliveryFields): void {
  for (const name in fields) {
    port.setDefault(name, fields[name]);
  }
}

function writeBodyFields(port: ResponsePort, parts: AnswerParts): void {
  const { plan, representation, layout, boundary, delegation, context } = parts;
  const { options, overrides = {} } = context;
  const disposition = dispositionField(representation, port.get('Content-Disposition'), overrides, options);
  port.set('Content-Disposition', disposition);
  if (disposition.startsWith('inline')) {
    port.setDefault('Content-Security-Policy', options.contentSecurityPolicy);
  }
  if (boundary !== undefined) {
    port.set('Content-Type', `multipart/byteranges; boundary=${boundary}`);
  }
  if (delegation) {
    port.remove('Content-Length');
    port.set(delegation.field.name, delegation.field.value);
    return;
  }
  if (plan.status === 204) {
    // Not even where the handler set them (RFC 9110 §8.6, RFC 9112 §6.1)
    port.remove('Content-Length');
    port.remove('Transfer-Encoding');
    return;
  }
  const length = announcedLength(plan, representation, layout);
  if (length !== undefined && port.get('Transfer-Encoding') === undefined) {
    port.set('Content-Length', length);
    // Only a chunked answer has one (RFC 9110 §6.5.1); Node breaks off any other that announces it
    port.remove('Trailer');
  }
}

/** `Content-Length`; HEAD has that of a GET. A 205 has content that is empty, not content left out (RFC 9110 §15.3.6). */
function announcedLength(
  { status, intervals }: DeliveryPlan,
  { length }: Representation,
  layout: BodyLayout,
): number | undefined {
  if (status === 205) {
    return 0;
  }
  return intervals.length === 0 || layout.length === Infinity ? length : layout.length;
}
