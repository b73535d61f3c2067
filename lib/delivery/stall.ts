import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

/** The longest that Node's timers know, ms. */
const LONGEST = 2 ** 31 - 1;

/**
 * Calls `stalled` when the client has taken no byte for so long although some are waiting for it.
 * Over HTTP/1 this is the timeout of the socket, which sees every byte that the kernel takes and costs
 * nothing per chunk; over HTTP/2, where several answers share a socket, a timer of the stream.
 *
 * @param seconds 0: never
 * @param sent bytes of the body that were handed over until now
 */
export function watchStall(
  response: ServerResponse,
  seconds: number,
  sent: () => number,
  stalled: () => void,
): void {
  const limit = Math.min(seconds * 1000, LONGEST);
  const { stream } = response as ServerResponse & { stream?: ServerHttp2Stream };
  if (limit === 0) {
    return;
  }
  if (stream) {
    watchStream(stream, limit, sent, stalled);
  } else if (response.socket) {
    watchSocket(response, response.socket, limit, stalled);
  } else {
    // The answer to a pipelined request gets the socket when it is its turn
    response.once('socket', (socket: Socket) => watchSocket(response, socket, limit, stalled));
  }
}

function watchSocket(response: ServerResponse, socket: Socket, limit: number, stalled: () => void): void {
  const before = socket.timeout ?? 0;
  // Where the server's own timeout is shorter, Node destroys the connection. The sockets of light-my-request
  // and of serverless adapters have none
  if (typeof socket.setTimeout !== 'function' || (before > 0 && before <= limit)) {
    return;
  }
  socket.setTimeout(limit);
  response.on('timeout', () => {
    if (socket.writableLength > 0) {
      stalled();
    } else {
      socket.setTimeout(limit);
    }
  });
  // Before Node sets the timeout of a connection that is kept
  response.prependOnceListener('finish', () => {
    if (socket.timeout === limit) {
      socket.setTimeout(before);
    }
  });
}

function watchStream(
  stream: ServerHttp2Stream,
  limit: number,
  sent: () => number,
  stalled: () => void,
): void {
  const progress = () => `${sent()} ${stream.writableLength}`;
  let last = progress();
  const timer = setTimeout(() => {
    const now = progress();
    if (now === last && stream.writableLength > 0) {
      stalled();
    } else {
      last = now;
      timer.refresh();
    }
  }, limit).unref();
  stream.once('close', () => clearTimeout(timer));
}
