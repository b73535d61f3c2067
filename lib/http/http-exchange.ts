import type { ArgumentsHost, ExecutionContext } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DownloadAuthConfigurationError } from '../shared/configuration-error.js';

/**
 * The request as the framework gives it: Express' `Request`, Fastify's `FastifyRequest`. Annotate it
 * as yours.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- lets the application name its own type
export type AnyRequest = any;

/** Where the token of a request came from. */
export type Transport = 'header' | 'query' | 'cookie' | 'form';

/** The members of a request that Express and Fastify share, as far as this package reads them. */
export interface FrameworkRequest {
  method: string;
  headers: IncomingMessage['headers'];
  params?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
  cookies?: Record<string, unknown>;
  /** Host parameters, set by Nest for controllers bound to a host. */
  hosts?: Record<string, string>;
  /** Express: whether the request came over TLS, behind trusted proxies too. */
  secure?: boolean;
  /** Fastify and Express: `http` or `https`, behind trusted proxies too. */
  protocol?: string;
  /** The client address behind trusted proxies. */
  ip?: string;
  /**
   * Fastify: all addresses up to the first that is not trusted, where it trusts a proxy. Express has it
   * always.
   */
  ips?: string[];
  /** Express: the application and its settings. */
  app?: { get(setting: string): unknown };
  /** Fastify: the request of node:http. */
  raw?: RawRequest;
  /** Express: the route that the router found. */
  route?: { path?: string };
  /** Fastify: the route that the router found. */
  routeOptions?: { url?: string };
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

/** @throws DownloadAuthConfigurationError outside of HTTP: for a gateway, a message handler, a resolver */
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

/** Whether the request came over TLS, as the framework sees it behind the proxies it was told to trust. */
export function isSecure({ request }: HttpExchange): boolean {
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

/** The fields of a urlencoded POST body that the framework has parsed. */
export function urlencodedForm(request: FrameworkRequest): Record<string, unknown> | undefined {
  if (request.method !== 'POST' || typeof request.body !== 'object' || request.body === null) {
    return undefined;
  }
  const type = request.headers['content-type']?.toLowerCase();
  return type?.startsWith('application/x-www-form-urlencoded')
    ? (request.body as Record<string, unknown>)
    : undefined;
}

/** The path of the request as it came in, without the query. */
export function requestPath({ rawRequest }: HttpExchange): string {
  return (rawRequest.originalUrl ?? rawRequest.url ?? '/').replace(/[?#].*$/s, '');
}
