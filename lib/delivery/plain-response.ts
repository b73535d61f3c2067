import { Logger } from '@nestjs/common';
import { OutgoingMessage, ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { beforeHead } from '../http/response-port.js';
import type { ResponsePort } from '../http/response-port.js';

/** As they were when this module was loaded: whoever replaces them later is noticed. */
const originalWrite: unknown = Reflect.get(OutgoingMessage.prototype, 'write');
const originalEnd: unknown = Reflect.get(OutgoingMessage.prototype, 'end');

/**
 * Whether the callback of `write` means that the kernel took the bytes: Node's own HTTP/1 response with its
 * own methods, over TCP or TLS. A compression middleware replaces `write` and may keep the chunk or never
 * call back, and so may a tunnel or a cloud function in place of the socket; HTTP/2 has another class.
 */
export function isPlainResponse(destination: unknown): destination is ServerResponse {
  if (!(destination instanceof ServerResponse)) {
    return false;
  }
  // A pipelined response has no socket of its own while it waits
  const { req } = destination as Partial<Pick<ServerResponse<IncomingMessage>, 'req'>>;
  const socket: unknown = destination.socket ?? req?.socket;
  return (
    socket instanceof Socket &&
    Reflect.get(destination, 'write') === originalWrite &&
    Reflect.get(destination, 'end') === originalEnd
  );
}

/**
 * Keeps middleware and hooks from encoding bytes that our strong entity tag stands for: a client resumes such
 * a download with bytes that are not encoded (RFC 9110 §8.8.3.3).
 *
 * Content negotiation finds that the client wants no encoding. An encoding that is applied anyway makes the
 * tag weak and takes ranges away; an encoded part of a file is useless, and its connection is destroyed.
 */
export function keepFromEncoding(request: IncomingMessage, port: ResponsePort): void {
  const response = port.raw;
  Reflect.set(request.headers, 'accept-encoding', 'identity');
  const own = port.get('Content-Encoding');
  beforeHead(response, (status) => {
    if (response.getHeader('Content-Encoding') !== own) {
      weaken(response, status);
    }
  });
}

function weaken(response: ServerResponse, status: number): void {
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
}
