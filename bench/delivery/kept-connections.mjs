/**
 * Connections that are kept and carry one request at a time; a client that costs less than what it measures.
 */
import net from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
/** No content of the benches ends so. */
const CHUNKED_END = Buffer.from('0\r\n\r\n');

export class KeptConnections {
  #sockets;

  constructor(sockets) {
    this.#sockets = sockets;
  }

  static async open(port, count) {
    const sockets = Array.from({ length: count }, () =>
      net.connect({ port, host: '127.0.0.1', noDelay: true }),
    );
    await Promise.all(
      sockets.map((socket) => new Promise((done, fail) => socket.once('connect', done).once('error', fail))),
    );
    return new KeptConnections(sockets);
  }

  /**
   * Sends so many requests over all connections, each as soon as the answer before it is complete.
   * @param bytes of each body; 0 for 304
   * @throws Error for an answer that is not 200, 206 or 304 or whose body has another length
   */
  async burst(requests, request, bytes) {
    const shared = { next: 0, requests };
    await Promise.all(this.#sockets.map((socket) => ask(socket, shared, request, bytes)));
  }

  close() {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }
}

function ask(socket, shared, request, bytes) {
  return new Promise((resolve, reject) => {
    /** Bytes still to come; undefined while there is no head, NaN where only the last chunk tells. */
    let left;
    const next = () => {
      left = undefined;
      if (shared.next < shared.requests) {
        socket.write(request(shared.next++));
        return;
      }
      socket.off('data', take).off('error', reject).off('close', closed);
      resolve();
    };
    const take = (chunk) => {
      if (left === undefined) {
        const end = chunk.indexOf(HEAD_END);
        const head = chunk.toString('latin1', 0, end);
        // of a 304 it would be the length of what is not sent
        left = head.startsWith('HTTP/1.1 304') ? 0 : Number(/content-length: (\d+)/i.exec(head)?.[1]);
        if (!/^HTTP\/1\.1 (20[06]|304)/.test(head) || (!Number.isNaN(left) && left !== bytes)) {
          reject(new Error(head));
          return;
        }
        chunk = chunk.subarray(end + HEAD_END.length);
      }
      left -= chunk.length;
      if (left === 0 || (Number.isNaN(left) && chunk.subarray(-CHUNKED_END.length).equals(CHUNKED_END))) {
        next();
      }
    };
    const closed = () => reject(new Error('the server closed the connection'));
    socket.on('data', take).on('error', reject).on('close', closed);
    next();
  });
}
