import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Middleware for both adapters that answers nobody but pages of this application and programs.
 *
 * A page of another site can have its own name resolve to this computer (DNS rebinding) and then read everything; but
 * its requests carry that name in `Host`. So a host must be an IP address, `localhost`, or one of the given names. And a
 * form of another site may post anything here; so what changes something must not come from another origin.
 */
export function sameOriginOnly(names: readonly string[]) {
  const own = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  const isOwn = (url: string) => {
    const name = URL.canParse(url) ? new URL(url).hostname : '';
    return own.has(name) || isIP(name.replace(/^\[|\]$/g, '')) !== 0;
  };
  return ({ method = '', headers }: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const { host = '', origin, 'sec-fetch-site': site = 'same-origin' } = headers;
    if (!isOwn(`http://${host}`)) {
      refuse(response, 421, 'This name is not served here. Start with PUBLIC_URL=http://<name> to allow it.');
    } else if (
      !READS.has(method) &&
      (!['same-origin', 'none'].includes(String(site)) || isForeign(origin, host))
    ) {
      refuse(response, 403, 'A page of another site may not do this.');
    } else {
      next();
    }
  };

  function isForeign(origin: string | undefined, host: string): boolean {
    if (origin === undefined) return false;
    if (!URL.canParse(origin)) return true;
    const from = new URL(origin);
    // behind a proxy the host may be the proxy's idea of it; then the name must be one that was given
    return from.host !== host.toLowerCase() && !names.includes(from.hostname);
  }
}

function refuse(response: ServerResponse, statusCode: number, message: string): void {
  response.writeHead(statusCode, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify({ statusCode, message }));
}
