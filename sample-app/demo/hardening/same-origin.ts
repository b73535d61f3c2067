import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';

const READS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Middleware for both adapters that protects a server on the own computer from pages of other sites.
 *
 * DNS rebinding: a site can make its own name resolve to this computer, so that its pages could read
 * everything. Their requests carry that name in `Host`, so only IP addresses, `localhost` and the given names
 * are answered.
 * CSRF: a page of another site can post a form to this address, so a request that changes something must not
 * come from another origin.
 */
export function sameOriginOnly(names: readonly string[]) {
  const own = new Set(['localhost', ...names.map((name) => name.toLowerCase())]);
  return ({ method = '', headers }: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const { host = '', origin, 'sec-fetch-site': site = 'same-origin' } = headers;
    if (!isOwnHost(host)) {
      refuse(response, 421, 'This host name is not served. Start with PUBLIC_URL=http://<name> to allow it.');
    } else if (
      !READS.has(method) &&
      (!['same-origin', 'none'].includes(String(site)) || isForeign(origin, host))
    ) {
      refuse(response, 403, 'Pages of other sites are not allowed to do this.');
    } else {
      next();
    }
  };

  function isOwnHost(host: string): boolean {
    const url = `http://${host}`;
    const name = URL.canParse(url) ? new URL(url).hostname : '';
    return own.has(name) || isIP(name.replace(/^\[|\]$/g, '')) !== 0;
  }

  function isForeign(origin: string | undefined, host: string): boolean {
    if (origin === undefined) {
      return false;
    }
    if (!URL.canParse(origin)) {
      return true;
    }
    const from = new URL(origin);
    // A proxy may have replaced Host, so the names that were given count as well.
    return from.host !== host.toLowerCase() && !names.includes(from.hostname);
  }
}

function refuse(response: ServerResponse, statusCode: number, message: string): void {
  response.writeHead(statusCode, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify({ statusCode, message }));
}
