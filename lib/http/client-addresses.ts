import { Logger } from '@nestjs/common';
import type { FrameworkRequest, HttpExchange } from './http-exchange.js';

/** Says from which address a request came, where that can be known. */
export class ClientAddresses {
  private readonly logger = new Logger('DownloadAuth');
  private warned = false;

  /**
   * The client's address as the framework resolves it behind the proxies that it trusts. Undefined where a
   * proxy has named a client and the framework trusts no proxy: the address of the connection is then the
   * proxy's, and all clients would look like one. The log says so once.
   */
  of({ request }: HttpExchange): string | undefined {
    if (!namesClient(request) || !trustsNoProxy(request)) {
      return request.ip;
    }
    if (!this.warned) {
      this.warned = true;
      this.logger.warn(
        'A request came with X-Forwarded-For or Forwarded, but the application trusts no proxy, so the addresses of ' +
          "its clients are unknown. Name the proxies' addresses or networks: app.set('trust proxy', 'loopback') on " +
          "Express, new FastifyAdapter({ trustProxy: 'loopback' }) on Fastify. Until then no two requests count as " +
          'one download because of their address, and links that are bound to a network are refused.',
      );
    }
    return undefined;
  }
}

/** X-Forwarded-For, or RFC 7239. */
function namesClient({ headers }: FrameworkRequest): boolean {
  return headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
}

/**
 * Express has the setting, false or 0 for none; a request of Fastify has `ips` only where it trusts a proxy.
 */
function trustsNoProxy(request: FrameworkRequest): boolean {
  return request.app
    ? !request.app.get('trust proxy')
    : request.raw !== undefined && request.ips === undefined;
}
