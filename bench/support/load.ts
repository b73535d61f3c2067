import { connect, type Socket } from 'node:net';

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

  /** Sends a request a number of times over all connections. @throws Error for an answer other than 200 */
  async burst(path: string, headers: Readonly<Record<string, string>>, requests: number): Promise<void> {
    const lines = Object.entries({ host: '127.0.0.1', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    const request = Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    const shared = { left: requests };
    await Promise.all(this.sockets.map((socket) => askUntilDone(socket, request, shared)));
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

function askUntilDone(socket: Socket, request: Buffer, shared: { left: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const ask = (): void => {
      if (shared.left-- > 0) {
        socket.write(request);
        return;
      }
      socket.off('data', take).off('error', reject).off('close', closed);
      resolve();
    };
    const take = (chunk: Buffer): void => {
      received = received.length > 0 ? Buffer.concat([received, chunk]) : chunk;
      const length = answerLength(received);
      if (length === undefined || received.length < length) return;
      const status = received.toString('latin1', 9, 12);
      if (status !== '200') return reject(new Error(received.toString()));
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
  if (end === -1) return undefined;
  const head = received.toString('latin1', 0, end);
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length:\n${head}`);
  return end + HEADERS_END.length + Number(length);
}
