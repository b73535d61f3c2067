import { build } from 'esbuild';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('../../lib/client/index.mts', import.meta.url));

/** The browser module as a bundler makes it. */
export async function clientModule(): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [ENTRY],
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
  });
  return outputFiles[0]!.contents;
}

export interface RoundRobin {
  readonly url: string;
  /** The paths that each node was asked for. */
  readonly asked: readonly string[][];
  close(): Promise<void>;
}

/** A proxy that sends each request to the next node. */
export async function roundRobin(...ports: number[]): Promise<RoundRobin> {
  const asked = ports.map((): string[] => []);
  let requests = 0;
  const server = http.createServer((request, response) => {
    const node = requests++ % ports.length;
    asked[node]!.push(`${request.method} ${request.url!.split('?', 1)[0]}`);
    const { method, headers, url: path } = request;
    const options = { host: '127.0.0.1', port: ports[node], method, path, headers, agent: false };
    const upstream = http.request(options, (answer) => {
      response.writeHead(answer.statusCode!, answer.rawHeaders);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
