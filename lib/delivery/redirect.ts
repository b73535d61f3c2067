import { DeliveredFile } from './delivered-file.js';
import { type DeliveryContext } from './delivery-context.js';
import { removeFileFields } from './delivery-headers.js';
import { DeliveryRun } from './delivery-run.js';
import { type RedirectContent } from './download.js';
import { plainLayout } from './multipart-byteranges.js';
import { type ResponsePort } from './response-port.js';

/**
 * Sends the client to another URL: 302, or 303 where a form was posted, which is then fetched by GET
 * (RFC 9110 §15.4.4). The URL goes out as it is; the referrer policy is ours whatever the options say, since
 * this request's URL may hold a token. The route's `Cache-Control` is for files: a cached redirect would
 * outlive the presigned URL that it leads to.
 */
export async function redirect(
  { url, cacheControl }: RedirectContent,
  method: string,
  port: ResponsePort,
  { options, watch = {} }: Pick<DeliveryContext, 'options' | 'watch'>,
): Promise<DeliveredFile> {
  const status = method === 'GET' || method === 'HEAD' ? 302 : 303;
  await watch.planned?.({
    method,
    status,
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
