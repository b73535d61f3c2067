import { isEntityTag } from '../entity-tag.js';
import { parseHttpDate } from '../http-date.js';
import { type ResponsePort } from '../response-port.js';
import { announced } from './represent.js';
import { type Representation } from './representation.js';

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
  };
  return length === undefined || !/^\d+$/.test(length) ? seen : announced(seen, Number(length));
}
