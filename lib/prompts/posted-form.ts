import { BadRequestException, PayloadTooLargeException } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpExchange, RawRequest } from '../http/http-exchange.js';
import { RequestNote } from '../http/notes.js';
import { claimsToBeLink, parseCompactJws } from '../tokens/compact-jws.js';

/** The longest form that is read, in bytes. */
const LONGEST_FORM = 16 * 1024;

/** How long a form may take to arrive, ms: Fastify sets no limit, and `app.close()` would wait for it. */
const SLOWEST_FORM = 30_000;

/** The fields that say that a request has a body. */
const BODY_FIELDS = ['content-type', 'content-length', 'transfer-encoding'];

/** The query of a form that was posted to the URL of a link, with its question mark, as it came in. */
export const postedNote = new RequestNote<string>('posted form');

/**
 * Serves forms that are posted to the URLs of links by the route of the link. That is a GET, in whichever way
 * the application registers it; so the request becomes one before any router of the application sees it: a
 * GET without a body, as anybody could have sent, because the token in its query may be forged. Handlers of
 * POST are not affected. Must be called before the adapter registers its routes.
 *
 * @param tokenName of the query parameter that holds the token of a link
 */
export function takePostedForms(adapter: AbstractHttpAdapter, tokenName: string): void {
  if (adapter.getType() === 'fastify') {
    takeInFastify(adapter.getInstance(), tokenName);
  } else {
    takeInExpress(adapter.getInstance(), tokenName);
  }
}

interface ExpressApplication {
  handle(request: IncomingMessage, response: ServerResponse, next?: () => void): void;
}

/** What every server of the application calls, not only the one that Nest makes. */
function takeInExpress(app: ExpressApplication, tokenName: string): void {
  const handle = app.handle.bind(app);
  app.handle = (request, ...rest) => {
    becomesGet(request, tokenName);
    handle(request, ...rest);
  };
}

interface FastifyApplication {
  addHook(
    name: 'onRequest',
    hook: (request: Wrapped, reply: Wrapped & { hijack(): void }, done: () => void) => void,
  ): void;
  routing(request: unknown, response: unknown): void;
}

interface Wrapped {
  readonly raw: RawRequest;
}

/** Hooks run behind Fastify's router, so the request goes through it once more, as it came in. */
function takeInFastify(app: FastifyApplication, tokenName: string): void {
  app.addHook('onRequest', ({ raw }, reply, done) => {
    if (becomesGet(raw, tokenName)) {
      reply.hijack();
      raw.url = raw.originalUrl ?? raw.url;
      app.routing(raw, reply.raw);
    } else {
      done();
    }
  });
}

function becomesGet(request: RawRequest, tokenName: string): boolean {
  const { method, headers } = request;
  const url = request.originalUrl ?? request.url ?? '';
  const start = url.indexOf('?');
  const isPosted = method === 'POST' && start !== -1 && isForm(headers['content-type']);
  if (!isPosted || !asksSomething(url.slice(start), tokenName)) {
    return false;
  }
  request.method = 'GET';
  for (const name of BODY_FIELDS) {
    Reflect.deleteProperty(headers, name);
  }
  postedNote.set(request, url.slice(start));
  return true;
}

/** Whether a query says that it has a link that asks something first; only the link's signature proves it. */
function asksSomething(query: string, tokenName: string): boolean {
  const unverified = parseCompactJws(new URLSearchParams(query).get(tokenName) ?? '');
  return claimsToBeLink(unverified?.header.typ) && unverified?.claims.ask !== undefined;
}

function isForm(contentType = ''): boolean {
  return /^application\/x-www-form-urlencoded(?:$|[ ;])/i.test(contentType);
}

/**
 * Reads the fields of a posted form, and takes them out of the request. What hands requests to the
 * application, such as a cloud function, may have read or parsed them before.
 *
 * @throws PayloadTooLargeException; BadRequestException for a client that went away or is too slow
 */
export async function takeFields({ request, rawRequest }: HttpExchange): Promise<URLSearchParams> {
  const { body } = request;
  request.body = undefined;
  if (body instanceof Uint8Array && body.length <= LONGEST_FORM) {
    return new URLSearchParams(Buffer.from(body).toString());
  }
  if (typeof body !== 'object' || body === null || Object.keys(body).length === 0) {
    return new URLSearchParams(await bodyOf(rawRequest));
  }
  const texts = Object.entries(body).filter(([, value]) => typeof value === 'string');
  return new URLSearchParams(texts as [string, string][]);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  const deadline = setTimeout(() => request.destroy(), SLOWEST_FORM);
  try {
    // Destroying the request would close the connection before the answer is sent
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > LONGEST_FORM) {
        break;
      }
      chunks.push(chunk);
    }
  } catch {
    throw new BadRequestException('The form broke off.');
  } finally {
    clearTimeout(deadline);
  }
  if (length > LONGEST_FORM) {
    throw new PayloadTooLargeException();
  }
  return Buffer.concat(chunks).toString();
}
