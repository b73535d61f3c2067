/**
 * Server CPU per request and requests per second of small answers on kept connections: 64 KiB ranges of a
 * large file, files of 1 KiB and 64 KiB, and 304. `node bench/delivery/requests.mjs --rounds 5 --requests 4000`
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  args,
  finish,
  folder,
  GIB,
  makeFile,
  record,
  report,
  rounds,
  selected,
  startServer,
} from './harness.mjs';
import { KeptConnections } from './kept-connections.mjs';
import { TOKEN } from './token.mjs';

const size = Number(args.gib) * GIB;
const big = makeFile('big.bin', size);
const small = makeFile('small.bin', 1024);
const modified = statSync(join(folder, small)).mtime.toUTCString();
const medium = makeFile('medium.bin', 64 * 1024);
const requests = Number(args.requests ?? 4000);
const connections = Number(args.connections);
const RANGE = 64 * 1024;

const SCENARIOS = {
  ranges: {
    title: '64 KiB ranges',
    names: [
      'ours-express-guarded',
      'ours-fastify-guarded',
      'ours-express',
      'ours-fastify',
      'recipe-express-guarded',
      'recipe-fastify-guarded',
      'recipe-express',
      'sendfile-express',
      'sendfile-fastify',
      'express-sendfile',
      'fastify-static',
    ],
    request: (i) => {
      const start = ((i * 7919) % Math.floor(size / RANGE)) * RANGE;
      return [big, `Range: bytes=${start}-${start + RANGE - 1}\r\n`];
    },
    bytes: RANGE,
  },
  small: {
    title: '1 KiB file',
    names: [
      'ours-express-guarded',
      'ours-fastify-guarded',
      'ours-express',
      'ours-fastify',
      'stock-express',
      'stock-express-length',
      'stock-express-guarded',
      'stock-fastify',
      'stock-fastify-length',
      'sendfile-express',
      'sendfile-fastify',
      'express-sendfile',
      'fastify-static',
    ],
    request: () => [small, ''],
    bytes: 1024,
  },
  unchanged: {
    title: '304',
    names: [
      'ours-express',
      'ours-fastify',
      'ours-express-guarded',
      'ours-fastify-guarded',
      'path-express-guarded',
      'path-fastify-guarded',
      'fresh-express',
      'fresh-fastify',
      'sendfile-express',
      'sendfile-fastify',
      'express-sendfile',
      'fastify-static',
    ],
    // Both, as browsers do
    request: (_i, etag) => [small, `If-None-Match: ${etag}\r\nIf-Modified-Since: ${modified}\r\n`],
    bytes: 0,
  },
  medium: {
    title: '64 KiB file',
    names: [
      'ours-express-guarded',
      'ours-fastify-guarded',
      'stock-express-length',
      'stock-fastify-length',
      'express-sendfile',
      'fastify-static',
    ],
    request: () => [medium, ''],
    bytes: 64 * 1024,
  },
};

for (const scenario of args.scenario ? [args.scenario] : Object.keys(SCENARIOS)) {
  const { title, names: all, request, bytes } = SCENARIOS[scenario];
  const names = selected(all);
  const running = [];
  for (const name of names) {
    const server = await startServer(name);
    const { headers } = await fetch(`http://127.0.0.1:${server.port}/${small}`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    running.push({ ...server, etag: headers.get('etag') });
  }
  const nextTo = (server) => (i) => {
    const [path, fields] = request(i, server.etag);
    return `GET /${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n${fields}\r\n`;
  };
  const cpu = Object.fromEntries(names.map((name) => [name, []]));
  const rate = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -3; round < rounds; round++) {
    for (const server of running) {
      // Anew in each round: servers close connections that nobody used for some seconds
      const load = await KeptConnections.open(server.port, connections);
      const before = await server.stats();
      const start = performance.now();
      await load.burst(requests, nextTo(server), bytes);
      const seconds = (performance.now() - start) / 1000;
      const after = await server.stats();
      load.close();
      // The first rounds warm up
      if (round >= 0) {
        cpu[server.name].push(((after.cpu - before.cpu) * 1e6) / requests);
        rate[server.name].push(requests / seconds);
      }
    }
  }
  const over = `${title} over ${connections} connections`;
  report(`${over}: server CPU per request`, 'µs', cpu, 1);
  record('µs', cpu);
  report(`${over}: requests per second`, '/s', rate, 0);
  for (const server of running) {
    await server.stop();
  }
}
await finish();
