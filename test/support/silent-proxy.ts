import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface SilentProxy {
  readonly port: number;
  /** The port to which further connections lead. */
  upstream: number;
  /** Connections that were made so far. */
  readonly connections: readonly SilentConnection[];
  /** Every connection that stands stops forwarding, and stays open; later ones work. */
  silence(which?: (connection: SilentConnection) => boolean): void;
  close(): void;
}

export interface SilentConnection {
  /** What the client sent so far. */
  readonly said: string;
  silent: boolean;
}

/**
 * A proxy on loopback whose connections can go silent without FIN or RST, as behind a firewall that forgot
 * them.
 */
export async function silentProxy(upstreamPort: number): Promise<SilentProxy> {
  const connections: { said: string; silent: boolean }[] = [];
  const sockets = new Set<Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ port: proxy.upstream, host: '127.0.0.1', allowHalfOpen: true });
    const connection = { said: '', silent: false };
    connections.push(connection);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('data', (chunk: Buffer) => {
        if (!connection.silent) {
          connection.said += from === client ? chunk.toString('latin1') : '';
          to.write(chunk);
        }
      });
      from.on('end', () => !connection.silent && to.end());
      from.on('close', () => !connection.silent && to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: SilentProxy = {
    port: (server.address() as AddressInfo).port,
    upstream: upstreamPort,
    connections,
    silence: (which = () => true) => {
      connections.filter(which).forEach((connection) => (connection.silent = true));
    },
    close: () => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    },
  };
  return proxy;
}
