import { Logger } from '@nestjs/common';
import { type IncomingMessage, ServerResponse } from 'node:http';
import { type ResponsePort } from './response-port.js';

/**
 * Calls `look` with the status before the headers of a response go out; they can still be changed then.
 *
 * @returns ends it
 */
export function beforeHead(response: ServerResponse, look: (status: number) => void): () => void {
  const writeHead = Reflect.get(response, 'writeHead') as (...args: unknown[]) => ServerResponse;
  let isWatching = true;
  response.writeHead = (...args: unknown[]) => {
    if (!isWatching || response.headersSent) {
      return writeHead.apply(response, args);
    }
    isWatching = false;
    const fields = args.at(-1);
    if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) {
      args.pop();
      for (const [name, value] of Object.entries(fields)) {
        response.setHeader(name, value as string);
      }
    }
    const status = args[0] as number;
    look(status);
    return writeHead === Reflect.get(ServerResponse.prototype, 'writeHead')
      ? writeHead.apply(response, args)
      : writeHeadAsWrapped(
          response,
          () => writeHead.apply(response, args),
          () => look(status),
        );
  };
  return () => {
    isWatching = false;
  };
}

/** A `writeHead` that a middleware replaced may still set fields: looks after each `Content-Encoding`. */
function writeHeadAsWrapped(
  response: ServerResponse,
  proceed: () => ServerResponse,
  look: () => void,
): ServerResponse {
  const setHeader = Reflect.get<ServerResponse, 'setHeader'>(response, 'setHeader');
  response.setHeader = (name, value) => {
    setHeader.call(response, name, value);
    if (name.toLowerCase() === 'content-encoding') {
      look();
    }
    return response;
  };
  try {
    return proceed();
  } finally {
    response.setHeader = setHeader;
  }
}

/**
 * Keeps what would encode the body behind us (a compression middleware, a hook) from bytes that our strong
 * entity tag stands for, since a client resumes such a download with bytes that are not encoded (RFC 9110
 * §8.8.3.3).
 *
 * Whoever negotiates finds that the client wants no encoding. An encoding that is applied all the same makes
 * the tag weak, and takes ranges away; encoded parts of a file are no parts of anything, and break the
 * connection.
 */
export function keepFromEncoding(request: IncomingMessage, port: ResponsePort): void {
  const response = port.raw;
  Reflect.set(request.headers, 'accept-encoding', 'identity');
  const own = port.get('Content-Encoding');
  beforeHead(response, (status) => {
    if (response.getHeader('Content-Encoding') === own) {
      return;
    }
    if (status === 206) {
      new Logger('DownloadDelivery').error(
        'A middleware or hook encoded a part of a file, which no client can use: let it skip answers of status 206.',
      );
      response.destroy();
      return;
    }
    const etag = response.getHeader('ETag');
    if (typeof etag === 'string' && !etag.startsWith('W/')) {
      response.setHeader('ETag', `W/${etag}`);
    }
    response.setHeader('Accept-Ranges', 'none');
    for (const name of ['Content-Length', 'Digest', 'Repr-Digest']) {
      response.removeHeader(name);
    }
  });
}
