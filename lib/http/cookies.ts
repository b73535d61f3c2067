import cookieParser from 'cookie-parser';
import type { HttpExchange } from './http-exchange.js';

const parseCookies = cookieParser();

/**
 * A cookie of the request, as the host has parsed it (cookie-parser, @fastify/cookie) or as cookie-parser
 * does here.
 * @returns whatever was made of it, `undefined` where there is none
 */
export function rawCookieOf({ request, rawRequest }: HttpExchange, name: string): unknown {
  if (!rawRequest.headers.cookie?.includes(name)) {
    return undefined;
  }
  if (!request.cookies) {
    parseCookies(rawRequest as never, undefined as never, () => undefined);
  }
  return (request.cookies ?? rawRequest.cookies)?.[name];
}

/** A cookie of the request that is text. */
export function cookieOf(exchange: HttpExchange, name: string): string | undefined {
  const value = rawCookieOf(exchange, name);
  return typeof value === 'string' ? value : undefined;
}
