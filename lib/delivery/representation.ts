import { InternalServerErrorException, Logger } from '@nestjs/common';
import type { ResponsePort } from '../http/response-port.js';
import { TruncatedContentError } from './body-reader.js';
import type { ByteSource } from './body-reader.js';
import type { DispositionType } from './disposition.js';
import type { DownloadEnd } from './download.js';
import { isEntityTag } from './entity-tag.js';
import { logFailure } from './failure.js';
import { parseHttpDate } from './http-date.js';
import type { OffloadOptions } from './offload.js';
import type { PlannedRepresentation } from './plan.js';
import { LONGER_THAN_ANNOUNCED } from './stream.source.js';

/** The bytes a handler wants to be sent, and their metadata; RFC 9110's word for it. */
export interface Representation extends PlannedRepresentation {
  /** `Content-Type`, where somebody said. */
  readonly type?: string;
  /** The name to save under, as somebody gave it. */
  readonly filename?: string;
  readonly dispositionType?: DispositionType;
  /** A whole `Content-Disposition` that the handler wrote; wins over name and type of disposition. */
  readonly disposition?: string;
  /** A whole file of this machine, by the path it was opened under: a proxy could send it. */
  readonly path?: string;
  /** Wins over the option of the route. */
  readonly offload?: OffloadOptions | false;
  /** Whether an error of the source means that there is no such object. */
  readonly missing?: (error: unknown) => boolean;
  /** The bytes; whoever asks for them closes them. Called once at most, and not where no body is sent. */
  bytes(): ByteSource;
  /** Told once how the answer ended, whatever became of it. Never throws. */
  readonly ended?: (end: DownloadEnd) => void;
  /** Frees what {@link bytes} was not called for. */
  close(): Promise<void>;
}

/**
 * Holds a representation to the length that the handler announced.
 *
 * @throws HttpException 500 where it is known to be shorter: sent anyway it would pass for the whole
 */
export async function announced(representation: Representation, length: number): Promise<Representation> {
  const actual = representation.length;
  if (actual === length || !Number.isSafeInteger(length) || length < 0) {
    return representation;
  }
  if (actual !== undefined && actual < length) {
    await representation.close();
    const cause = new TruncatedContentError(length - actual);
    logFailure(cause);
    const description = 'Internal Server Error';
    throw new InternalServerErrorException('The file is incomplete.', { cause, description });
  }
  if (actual !== undefined) {
    new Logger('DownloadDelivery').warn(LONGER_THAN_ANNOUNCED);
  }
  return { ...representation, length, path: undefined };
}

/**
 * The representation as the handler's own headers have it: the client sees its `ETag` and `Last-Modified`, so
 * those are what conditions are compared with; `Accept-Ranges: none` or a `Content-Range` of its own means
 * that ranges are not ours to serve; its `Content-Length` is an announcement.
 *
 * @param wantsRanges the option of the route
 * @throws HttpException 500 where the content is shorter than announced
 */
export async function withHandlerFields(
  representation: Representation,
  port: Pick<ResponsePort, 'get'>,
  wantsRanges: boolean,
): Promise<Representation> {
  const etag = port.get('ETag');
  const lastModified = port.get('Last-Modified');
  const length = port.get('Content-Length');
  const refusesRanges =
    port.get('Accept-Ranges')?.toLowerCase() === 'none' || port.get('Content-Range') !== undefined;
  const seen: Representation = {
    ...representation,
    etag: etag === undefined ? representation.etag : isEntityTag(etag) ? etag : undefined,
    lastModified: lastModified === undefined ? representation.lastModified : parseHttpDate(lastModified),
    seekable: representation.seekable && wantsRanges && !refusesRanges,
    rangesOff: representation.seekable && (!wantsRanges || refusesRanges),
  };
  return length === undefined || !/^\d+$/.test(length) ? seen : announced(seen, Number(length));
}
