import type { ResponsePort } from '../http/response-port.js';
import { contentDisposition, isAttachment, readDisposition, repairDisposition } from './disposition.js';
import type { DispositionType } from './disposition.js';
import { formatHttpDate } from './http-date.js';
import type { BodyLayout } from './multipart.js';
import type { Delegation } from './offload.js';
import type { ResolvedDelivery } from './options.js';
import type { DeliveryPlan } from './plan.js';
import type { Representation } from './representation.js';

/** What a link fixes about saving. It wins over everything else. */
export interface DeliveryOverrides {
  readonly filename?: string;
  readonly disposition?: DispositionType;
}

/** Header fields by name; undefined and false send none. */
export type DeliveryFields = Readonly<Record<string, string | false | undefined>>;

/** What describes a body and has no place in an answer with another one, or none (RFC 9110 §15.4.5). */
const BODY_FIELDS = lowerCase([
  'Content-Type',
  'Content-Length',
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Range',
  'Content-Digest',
  'Transfer-Encoding',
  'Trailer',
]);

/** What lets a cache keep an answer (RFC 9111 §5.2, §5.3; RFC 9213). */
const CACHE_FIELDS = lowerCase(['Cache-Control', 'Expires', 'CDN-Cache-Control', 'Surrogate-Control']);

/** What describes a file. */
export const FILE_FIELDS = new Set([
  ...BODY_FIELDS,
  ...lowerCase([
    'ETag',
    'Last-Modified',
    'Accept-Ranges',
    'Content-Location',
    'Content-MD5',
    'Digest',
    'Repr-Digest',
  ]),
]);
const FILE_AND_CACHE_FIELDS = new Set([...FILE_FIELDS, ...CACHE_FIELDS]);
/** What is withheld where `Cache-Control` already says `no-store`. */
const WITHHELD = new Set([...FILE_AND_CACHE_FIELDS].filter((name) => name !== 'cache-control'));

function lowerCase(names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

/** `no-store`, in words that tell it from what others set. */
const UNSENT = 'no-store, private';

/**
 * Removes what the handler said of a file that is not sent: an error must not be saved or cached as the file.
 */
export function removeFileFields(port: ResponsePort): void {
  if (!port.raw.headersSent) {
    port.take(FILE_AND_CACHE_FIELDS);
    port.set('Cache-Control', 'no-store');
  }
}

/**
 * Takes what describes the file out of the answer until it is sent, so that an interceptor or a serializer
 * that fails after the delivery was decided does not leave it on the error.
 *
 * @returns puts the fields back, but for those that were set in the meantime
 */
export function withholdFileFields(port: ResponsePort): () => void {
  const mayBeCached = !port.get('Cache-Control')?.includes('no-store');
  const fields = port.take(mayBeCached ? FILE_AND_CACHE_FIELDS : WITHHELD);
  if (mayBeCached && !port.raw.headersSent) {
    port.set('Cache-Control', UNSENT);
  }
  return () => {
    if (mayBeCached && port.get('Cache-Control') === UNSENT) {
      port.remove('Cache-Control');
    }
    for (const [name, value] of fields) {
      port.setDefault(name, value);
    }
  };
}

const commonOf = new WeakMap<ResolvedDelivery, DeliveryFields>();

/** Fields of every answer, errors among them: what guards the content also guards the lack of it. */
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
  /** `Content-Type` of the representation. */
  readonly type: string;
  readonly context: {
    readonly options: ResolvedDelivery;
    readonly overrides?: DeliveryOverrides;
    /** The `Content-Security-Policy` that was there before the handler ran. */
    readonly headers: { readonly policy: string | undefined };
  };
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Sets status and headers of an answer; `Content-Type` is left to the `StreamableFile`, but for several
 * parts.
 */
export function writeFields(port: ResponsePort, parts: AnswerParts): void {
  const { plan, representation, delegation, context, now } = parts;
  const { status } = plan;
  const isError = status === 412 || status === 416;
  if (isError || status === 304) {
    port.take(BODY_FIELDS);
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
  port.take(CACHE_FIELDS);
  if (cacheControl) {
    port.set('Cache-Control', cacheControl.includes('no-store') ? cacheControl : 'no-store');
  }
}

/** Sets the fields that are not set yet. */
export function setDefaults(port: Pick<ResponsePort, 'setDefault'>, fields: DeliveryFields): void {
  for (const name in fields) {
    port.setDefault(name, fields[name]);
  }
}

function writeBodyFields(port: ResponsePort, parts: AnswerParts): void {
  const { plan, representation, layout, boundary, delegation, type, context } = parts;
  const { options, overrides = {}, headers } = context;
  const disposition = dispositionField(representation, port.get('Content-Disposition'), overrides, options);
  port.set('Content-Disposition', disposition);
  if (!isAttachment(disposition) && mayRunScript(type)) {
    addPolicy(port, headers.policy, options.contentSecurityPolicy);
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

/** What browsers show without running a script that stands in it. */
const PASSIVE_TYPE =
  /^(?:application\/pdf|text\/plain|(?:audio|video)\/[\w.+-]+|image\/(?!svg)[\w.-]+)[ \t]*(?:;[^,]*)?$/i;

/** Whether content of a type could run a script where it is shown: HTML, XML, SVG, and what is not known. */
function mayRunScript(type: string): boolean {
  return !PASSIVE_TYPE.test(type);
}

/**
 * Adds the sandbox to the policy that a middleware set: several policies hold together (CSP 3 §2.2). That of
 * a handler stands alone.
 */
function addPolicy(port: ResponsePort, before: string | undefined, policy: string | false): void {
  if (policy !== false && port.get('Content-Security-Policy') === before) {
    port.set('Content-Security-Policy', before === undefined ? policy : `${before}, ${policy}`);
  }
}

/**
 * `Content-Length`; HEAD has that of a GET. A 205 has content that is empty, not content left out (RFC 9110
 * §15.3.6).
 */
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
