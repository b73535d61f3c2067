/**
 * Server CPU per request and requests per second of small answers on kept connections: 64 KiB ranges of a large
 * file, and a 1 KiB file. `node bench/delivery/requests.mjs --rounds 5 --requests 4000`
 */
import http from 'node:http';
import { args, finish, GIB, makeFile, report, rounds, selected, startServer } from './harness.mjs';

const size = Number(args.gib) * GIB;
const big = makeFile('big.bin', size);
const small = makeFile('small.bin', 1024);
const requests = Number(args.requests ?? 4000);
const RANGE = 64 * 1024;

const SCENARIOS = {
  '64 KiB ranges': {
    names: ['ours-express', 'ours-fastify', 'recipe-express', 'express-sendfile', 'fastify-static'],
    make: (i) => {
      const start = ((i * 7919) % Math.floor(size / RANGE)) * RANGE;
      return [big, { range: `bytes=${start}-${start + RANGE - 1}` }, RANGE];
    },
  },
  '1 KiB file': {
    names: [
      'ours-express',
      'ours-fastify',
      'stock-express',
      'stock-fastify',
      'express-sendfile',
      'fastify-static',
    ],
    make: () => [small, {}, 1024],
  },
};

function get(port, agent, [path, headers, expected]) {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path: `/${path}`, agent, headers }, (response) => {
        let bytes = 0;
        response.on('data', (chunk) => (bytes += chunk.length));
        response.on('end', () => (bytes === expected ? resolve() : reject(new Error(`${bytes} bytes`))));
      })
      .on('error', reject);
  });
}

async function run(server, make) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  let next = 0;
  const worker = async () => {
    while (next < requests) {
      await get(server.port, agent, make(next++));
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  agent.destroy();
}

for (const [title, { names: all, make }] of Object.entries(SCENARIOS)) {
  const names = selected(all);
  const servers = [];
  for (const name of names) {
    servers.push(await startServer(name));
  }
  const cpu = Object.fromEntries(names.map((name) => [name, []]));
  const rate = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const server of servers) {
      const before = await server.stats();
      const start = performance.now();
      await run(server, make);
      const seconds = (performance.now() - start) / 1000;
      const after = await server.stats();
      if (round >= 0) {
        cpu[server.name].push(((after.cpu - before.cpu) * 1e6) / requests);
        rate[server.name].push(requests / seconds);
      }
    }
  }
  report(`${title}: server CPU per request`, 'µs', cpu, 1);
  report(`${title}: requests per second`, '/s', rate, 0);
  for (const server of servers) {
    await server.stop();
  }
}
await finish();
