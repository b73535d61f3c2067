import { Logger } from '@nestjs/common';
import type { ResponsePort } from '../http/response-port.js';
import { TruncatedContentError } from './body-reader.js';
import type { ByteSource } from './body-reader.js';
import { isLength } from './download-options.js';
import type { DownloadEnd, FileDownloadOptions } from './download-options.js';
import { isEntityTag } from './entity-tag.js';
import { logFailure, unreadableFile } from './failure.js';
import { parseHttpDate } from './http-date.js';
import type { PlannedRepresentation } from './plan.js';
import { LONGER_THAN_ANNOUNCED } from './stream.source.js';

/** The bytes a handler wants to be sent, and what they themselves and the handler's options say of them. */
export interface Content extends PlannedRepresentation {
  readonly source: ByteSource;
  /** `Content-Type`, where it is known. */
  readonly type?: string;
  /** The name to save under, unchecked. */
  readonly filename?: string;
  /** A whole `Content-Disposition` that the handler wrote; wins over name and type of disposition. */
  readonly disposition?: string;
  /** What the handler said of a `Download`. */
  readonly options?: FileDownloadOptions;
  /** The length that a `StreamableFile` announces. */
  readonly announced?: number;
  /** A whole file of this machine, by the path it was opened under: a proxy could send it. */
  readonly path?: string;
  /** Whether an error of the source means that the object does not exist. */
  readonly missing?: (error: unknown) => boolean;
  /** Told once how the answer ended, whatever became of it. Never throws. */
  readonly ended?: (end: DownloadEnd) => void;
}

/** The content as the client sees it; RFC 9110's word for it. */
export interface Representation extends Content {
  readonly type: string;
}

const DEFAULT_TYPE = 'application/octet-stream';

/** How an answer ended that never began to send its content. */
export const NOTHING_SENT: DownloadEnd = Object.freeze({ completed: false, bytes: 0 });

/** Frees content of which nothing is sent. */
export async function discard({ source, ended }: Content): Promise<void> {
  await source.close().catch(() => {});
  ended?.(NOTHING_SENT);
}

/**
 * The representation as the handler's own headers have it: the client sees its `ETag` and `Last-Modified`, so
 * those are what conditions are compared with; `Accept-Ranges: none` or a `Content-Range` of its own means
 * that ranges are not ours to serve; its `Content-Length` is an announcement.
 *
 * @param wantsRanges the option of the route
 * @throws HttpException 500 where the content is shorter than announced
 */
export function withHandlerFields(
  found: Content,
  port: Pick<ResponsePort, 'get'>,
  wantsRanges: boolean,
): Representation {
  const etag = port.get('ETag');
  const lastModified = port.get('Last-Modified');
  const length = port.get('Content-Length');
  const refusesRanges =
    port.get('Accept-Ranges')?.toLowerCase() === 'none' || port.get('Content-Range') !== undefined;
  const hasRanges = wantsRanges && !refusesRanges;
  const seen: Representation = {
    ...found,
    type: port.get('Content-Type') ?? found.type ?? DEFAULT_TYPE,
    etag: etag === undefined || isEntityTag(etag) ? (etag ?? found.etag) : undefined,
    lastModified: lastModified === undefined ? found.lastModified : parseHttpDate(lastModified),
    seekable: found.seekable && hasRanges,
    rangesOff: found.seekable && !hasRanges,
  };
  return holdTo(/^\d+$/.test(length ?? '') ? Number(length) : found.announced, seen);
}

/** Holds a representation to the length that the handler announced. */
function holdTo(announced: number | undefined, found: Representation): Representation {
  const { length } = found;
  if (!isLength(announced) || announced === length) {
    return found;
  }
  if (length !== undefined && length < announced) {
    const cause = new TruncatedContentError(announced - length);
    logFailure(cause);
    // Sent anyway, it would pass for the whole
    throw unreadableFile('The file is incomplete.', cause);
  }
  if (length !== undefined) {
    new Logger('DownloadDelivery').warn(LONGER_THAN_ANNOUNCED);
  }
  return { ...found, length: announced, path: undefined };
}
