import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, sep } from 'node:path';
import { isInside } from './open-file.js';
import { field } from './preconditions.js';
import type { RequestFields } from './preconditions.js';
import type { OffloadField, PlannedDelivery } from './watch.js';

/**
 * Let the proxy in front of the application send file bodies: this process decides, sets the headers, and
 * names the file. Such a body's bytes cannot be counted here, and a download cannot be cut.
 *
 * Only for an application that is reached through that proxy alone: any other client would get an empty
 * body and see the file's path.
 */
export type OffloadOptions =
  | {
      /** nginx: the header `X-Accel-Redirect`. */
      readonly type: 'x-accel-redirect';
      /** The folder whose files the proxy can send, absolute; others are sent by this process. */
      readonly root: string;
      /** Path of the `internal` location whose `alias` is {@link root}: starts and ends with a slash. */
      readonly prefix: string;
    }
  | {
      /** Apache's mod_xsendfile, lighttpd: the header `X-Sendfile`. */
      readonly type: 'x-sendfile';
      /** The folder whose files the proxy can send, absolute; others are sent by this process. */
      readonly root: string;
    };

const ADVICE =
  "write { type: 'x-accel-redirect', root: '/srv/files', prefix: '/protected/' } or { type: 'x-sendfile', root: '/srv/files' }, or false.";

/** What to write instead of options that cannot work; undefined for those that can. */
export function offloadAdvice(value: unknown): string | undefined {
  const { type, root, prefix, ...rest } = (value ?? {}) as Record<string, unknown>;
  const isPrefix =
    type === 'x-accel-redirect'
      ? typeof prefix === 'string' && /^\/(?:[\w.~-]+\/)*$/.test(prefix)
      : type === 'x-sendfile' && prefix === undefined;
  const isRoot = typeof root === 'string' && isAbsolute(root);
  return isPrefix && isRoot && Object.keys(rest).length === 0 ? undefined : ADVICE;
}

/** The header that lets the proxy send the file, by its real path and that of the root. */
export function offloadField(options: OffloadOptions, root: string, path: string): OffloadField | undefined {
  if (!isInside(root, path)) {
    return undefined;
  }
  if (options.type === 'x-sendfile') {
    // Servers differ in whether they decode the value, so it must read the same either way
    return /^[\x21-\x24\x26-\x7e]+$/.test(path) ? { name: options.type, value: path } : undefined;
  }
  const encoded = relative(root, path).split(sep).map(encodeURIComponent).join('/');
  return { name: options.type, value: options.prefix + encoded };
}

/**
 * Whether a proxy that evaluates the request's conditions and ranges itself comes to the plan's result.
 *
 * nginx answers 416 to a malformed range where RFC 9110 has it ignored, coalesces several ranges its own way,
 * compares `If-Range` dates without §8.8.2.2, takes a malformed `If-Unmodified-Since` for failed, and does
 * not see our entity tag while it evaluates `If-Match`. Such requests are rare; this process answers them.
 */
export function proxyAgrees(
  fields: RequestFields,
  { status, ranged }: Pick<PlannedDelivery, 'status' | 'ranged'>,
): boolean {
  if (field(fields, 'if-match') !== undefined || field(fields, 'if-unmodified-since') !== undefined) {
    return false;
  }
  if (!ranged) {
    return status === 200;
  }
  const isOneRange = /^bytes=(?:\d{1,15}-\d{0,15}|-\d{1,15})$/.test(field(fields, 'range') ?? '');
  const ifRange = field(fields, 'if-range');
  return isOneRange && (ifRange === undefined ? status === 206 : /^"[^"]*"$/.test(ifRange));
}

/** Undefined where this process sends the body. @param path of a whole file */
export async function delegate(
  wanted: OffloadOptions | false,
  path: string | undefined,
  fields: RequestFields,
  plan: PlannedDelivery,
): Promise<OffloadField | undefined> {
  if (!wanted || path === undefined || plan.intervals.length === 0 || !proxyAgrees(fields, plan)) {
    return undefined;
  }
  return offloadField(wanted, await realpath(wanted.root), await realpath(path));
}
