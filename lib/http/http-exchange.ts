import type { ArgumentsHost, ExecutionContext } from '@nestjs/common';
import cookieParser from 'cookie-parser';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';
import { ThrottledLogger } from '../shared/throttled-logger.js';

/** The framework's request, Express' `Request` or Fastify's `FastifyRequest`. Annotate it with your type. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- lets the application name its own type
export type AnyRequest = any;

/** Where a request can carry a token. */
export type Transport = 'header' | 'query' | 'form' | 'companion' | 'cookie';

/** What this package reads of the requests of Express and Fastify. */
export interface FrameworkRequest {
  method: string;
  originalUrl?: string;
  headers: IncomingMessage['headers'];
  params?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
  cookies?: Record<string, unknown>;
  /** Host parameters, set by Nest for controllers bound to a host. */
  hosts?: Record<string, string>;
  /** The host that the client addressed, without the port; behind trusted proxies too. */
  hostname?: string;
  /** Express: whether the request came over TLS, behind trusted proxies too. */
  secure?: boolean;
  /** `http` or `https`, behind trusted proxies too. */
  protocol?: string;
  /** The client address behind trusted proxies. */
  ip?: string;
  /** Fastify: all addresses up to the first untrusted one, if it trusts a proxy. Express: always set. */
  ips?: string[];
  /** Express: the application and its settings. */
  app?: { get(setting: string): unknown };
  /** Fastify: the request of node:http. */
  raw?: RawRequest;
  /** Express: the route that the router found. */
  route?: { path?: string };
  /** Fastify: the route that the router found. */
  routeOptions?: { url?: string; schema?: unknown };
  user?: unknown;
}

/** The request of node:http, with what middleware leaves on it. */
export interface RawRequest extends IncomingMessage {
  originalUrl?: string;
  cookies?: Record<string, unknown>;
}

/** One request and its response, on either adapter. */
export interface HttpExchange {
  readonly request: FrameworkRequest;
  readonly response: object;
  /** The request of node:http; on Express that is the request itself. */
  readonly rawRequest: RawRequest;
  readonly rawResponse: ServerResponse;
}

/** @throws DownloadAuthConfigurationError outside HTTP: in a gateway, a message handler, a resolver */
export function exchangeOf(context: ExecutionContext): HttpExchange {
  if (context.getType() !== 'http') {
    throw new DownloadAuthConfigurationError(
      `@StreamDownload() is for HTTP routes: ${context.getClass().name}.${context.getHandler().name} is called by ${context.getType()}. ` +
        'Mark a method that carries @Get().',
    );
  }
  return exchangeOfHost(context.switchToHttp());
}

/** As {@link exchangeOf}, for exception filters, which have no execution context. */
export function exchangeOfHost(http: ReturnType<ArgumentsHost['switchToHttp']>): HttpExchange {
  const request = http.getRequest<FrameworkRequest>();
  const response = http.getResponse<{ raw?: ServerResponse }>();
  return {
    request,
    response,
    rawRequest: request.raw ?? (request as unknown as RawRequest),
    rawResponse: response.raw ?? (response as unknown as ServerResponse),
  };
}

/** The request that a response answers; `undefined` for a response that only looks like one. */
export function requestOf(response: object): FrameworkRequest | undefined {
  const { req, request } = response as Partial<Record<'req' | 'request', FrameworkRequest>>;
  return request ?? req;
}

/** Whether the request came over TLS, as the framework sees it behind the proxies it trusts. */
export function isSecure({ request }: Pick<HttpExchange, 'request'>): boolean {
  return request.protocol === 'https' || request.secure === true;
}

/** The path of the route that a request was routed to, as the router has it: `/files/:id`. */
export function routePattern({ routeOptions, route }: FrameworkRequest): string {
  return routeOptions?.url ?? route?.path ?? '';
}

/** Whether the request only reads: GET or HEAD (RFC 9110 §9.2.1). */
export function isRetrieval(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** The path of the request as it came in, without the query. */
export function requestPath({ rawRequest }: HttpExchange): string {
  return pathOf(rawRequest.originalUrl ?? rawRequest.url ?? '/');
}

/** A URL without its query. */
export function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '');
}

/** The fields of a urlencoded POST body that the framework has parsed; empty for any other body. */
export function formFields({ method, headers, body }: FrameworkRequest): Record<string, unknown> {
  const isForm = headers['content-type']?.toLowerCase().startsWith('application/x-www-form-urlencoded');
  return method === 'POST' && isForm && typeof body === 'object' && body
    ? (body as Record<string, unknown>)
    : {};
}

const parseCookies = cookieParser();

/**
 * A cookie as the host parsed it (cookie-parser, @fastify/cookie), or cookie-parser where the host did not:
 * not always a string.
 */
export function parsedCookie({ request, rawRequest }: HttpExchange, name: string): unknown {
  if (!rawRequest.headers.cookie?.includes(name)) {
    return undefined;
  }
  if (!request.cookies) {
    parseCookies(rawRequest as never, undefined as never, () => undefined);
  }
  return (request.cookies ?? rawRequest.cookies)?.[name];
}

/** As {@link parsedCookie}; `undefined` for a cookie that was not parsed into a string. */
export function cookieOf(exchange: HttpExchange, name: string): string | undefined {
  const value = parsedCookie(exchange, name);
  return typeof value === 'string' ? value : undefined;
}

/** Finds the address of a client, where it can be known. */
export class ClientAddresses {
  private readonly warnings = new ThrottledLogger('DownloadAuth', Infinity);

  /**
   * The client's address as the framework resolves it behind the proxies it trusts. `undefined` where a proxy
   * named a client but the framework trusts no proxy: the address is then the proxy's, the same for everyone.
   */
  of({ request }: HttpExchange): string | undefined {
    if (!namesClient(request) || !trustsNoProxy(request)) {
      return request.ip;
    }
    this.warnings.warn(
      'proxy',
      'A request has X-Forwarded-For or Forwarded, but the application trusts no proxy, so client addresses are ' +
        "unknown. Name the addresses or networks of your proxies: app.set('trust proxy', 'loopback') on Express, " +
        "new FastifyAdapter({ trustProxy: 'loopback' }) on Fastify. Until then requests are not joined to a " +
        'download by address, and links that are bound to a network are refused.',
    );
    return undefined;
  }
}

/** X-Forwarded-For, or RFC 7239. */
function namesClient({ headers }: FrameworkRequest): boolean {
  return headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
}

/** Express has a setting, false or 0 for none; a Fastify request has `ips` only where a proxy is trusted. */
function trustsNoProxy(request: FrameworkRequest): boolean {
  return request.app ? !request.app.get('trust proxy') : request.raw !== undefined && !request.ips;
}
