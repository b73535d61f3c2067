import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';

/** Who waits for a connection to close; one listener each would be too many where a client pipelines. */
const waiting = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `listener` once: when the response has closed, as it does after it finished or failed, or when its
 * connection has closed, which the response of a pipelined request that waits for its turn does not notice.
 */
export function onResponseClose(response: ServerResponse, listener: () => void): void {
  const socket = (response as { req?: IncomingMessage }).req?.socket;
  let isOver = false;
  const settle = () => {
    if (!isOver) {
      isOver = true;
      if (socket) {
        waiting.get(socket)?.delete(settle);
      }
      listener();
    }
  };
  if (response.destroyed || response.closed) {
    process.nextTick(settle);
    return;
  }
  // Nest and Fastify come to ten listeners, beyond which Node warns of a leak
  const most = response.getMaxListeners();
  response.setMaxListeners(most === 0 ? 0 : most + 1);
  response.once('close', settle);
  if (typeof socket?.once !== 'function') {
    return;
  }
  if (socket.destroyed) {
    process.nextTick(settle);
    return;
  }
  (waiting.get(socket) ?? watchSocket(socket)).add(settle);
}

function watchSocket(socket: Socket): Set<() => void> {
  const listeners = new Set<() => void>();
  waiting.set(socket, listeners);
  socket.once('close', () => {
    waiting.delete(socket);
    for (const settle of [...listeners]) {
      settle();
    }
  });
  return listeners;
}
