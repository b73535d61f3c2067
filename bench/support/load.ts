import { connect } from 'node:net';
import type { Socket } from 'node:net';

const HEADERS_END = Buffer.from('\r\n\r\n');

/** Keep-alive connections that ask one question at a time each, and only count what comes back. */
export class Load {
  private constructor(private readonly sockets: readonly Socket[]) {}

  static async open(port: number, connections: number): Promise<Load> {
    const sockets = Array.from({ length: connections }, () =>
      connect({ port, host: '127.0.0.1', noDelay: true }),
    );
    await Promise.all(
      sockets.map((socket) => new Promise((done, fail) => socket.once('connect', done).once('error', fail))),
    );
    return new Load(sockets);
  }

  /**
   * Asks for a path a number of times over all connections, with each set of header fields in its turn.
   * @param first the number of the request that is the first of this burst
   * @throws Error for an answer other than 200
   */
  async burst(
    path: string,
    headers: readonly Readonly<Record<string, string>>[],
    count: number,
    first = 0,
  ): Promise<void> {
    const requests = headers.map((fields) => requestOf(path, fields));
    let sent = first;
    const next = (): Buffer | undefined =>
      sent < first + count ? requests[sent++ % requests.length] : undefined;
    const stopSpinning = spin();
    await Promise.all(this.sockets.map((socket) => askUntilDone(socket, next)));
    stopSpinning();
  }

  close(): void {
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }
}

function requestOf(path: string, headers: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries({ host: '127.0.0.1', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
}

/**
 * Keeps the event loop from ever going to sleep. To wake a sleeping process is work that the kernel charges
 * to the one that writes: the server would pay for it the more often, the slower it answers.
 */
function spin(): () => void {
  let spinning = true;
  const turn = (): void => {
    if (spinning) {
      setImmediate(turn);
    }
  };
  turn();
  return () => (spinning = false);
}

function askUntilDone(socket: Socket, next: () => Buffer | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const ask = (): void => {
      const request = next();
      if (request) {
        socket.write(request);
        return;
      }
      socket.off('data', take).off('error', reject).off('close', closed);
      resolve();
    };
    const take = (chunk: Buffer): void => {
      received = received.length > 0 ? Buffer.concat([received, chunk]) : chunk;
      const length = answerLength(received);
      if (length === undefined || received.length < length) {
        return;
      }
      const status = received.toString('latin1', 9, 12);
      if (status !== '200') {
        return reject(new Error(received.toString()));
      }
      received = received.subarray(length);
      ask();
    };
    const closed = (): void => reject(new Error('the server closed the connection'));
    socket.on('data', take).on('error', reject).on('close', closed);
    ask();
  });
}

/** Bytes of the whole answer, `undefined` while its head has not arrived. */
function answerLength(received: Buffer): number | undefined {
  const end = received.indexOf(HEADERS_END);
  if (end === -1) {
    return undefined;
  }
  const head = received.toString('latin1', 0, end);
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) {
    throw new Error(`an answer without Content-Length:\n${head}`);
  }
  return end + HEADERS_END.length + Number(length);
}
