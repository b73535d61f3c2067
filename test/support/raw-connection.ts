import net from 'node:net';

/** Opens a connection, sends the text, and hands the socket over. */
export function connect(port: number, text: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.write(text, 'latin1');
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** Sends bytes as they are over a connection of its own, and returns everything that comes back. */
export async function rawRequest(port: number, text: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of await connect(port, text)) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('latin1');
}
