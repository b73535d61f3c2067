// What a limited link adds to a request over an unlimited one, over HTTP: the time until the whole answer is there, and
// the CPU of the server process. One request after another on one connection, each for 10 of 100 kB, each with a link
// of its own unless it joins. Medians over alternating rounds.
// Usage: node bench/leases/http.mjs [requests per round] [rounds] [express|fastify]
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cleanUp, compile, median, postgres, redis, temporaryFolder } from './support.mjs';

const REQUESTS = Number(process.argv[2] ?? 1000);
const ROUNDS = Number(process.argv[3] ?? 9);
const ADAPTER = process.argv[4] ?? 'express';
const WARM_UP_ROUNDS = 2;

const KINDS = {
  unlimited: { links: REQUESTS, options: {} },
  'limited, first request': { links: REQUESTS, options: { maxDownloads: 1 } },
  'limited, joining': { links: 1, options: { maxDownloads: 1, byteBudget: 1e12 } },
};

const { folder } = compile();
const stores = { memory: {} };
if (process.getBuiltinModule('node:sqlite')) {
  stores.SQLite = { sqlite: { file: join(temporaryFolder(), 'leases.db') } };
} else {
  console.log(`SQLite: not measured, Node ${process.versions.node} has no node:sqlite`);
}
const url = await redis();
if (url) {
  stores.Redis = { redis: { url } };
}
const database = await postgres();
if (database) {
  stores.PostgreSQL = { postgres: { url: database } };
}

/** Asks for one path after another. */
async function askAll(port, paths) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  for (const path of paths) {
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench\r\nrange: bytes=0-9999\r\n\r\n`,
    );
    await wholeAnswer(socket);
  }
  socket.destroy();
}

function wholeAnswer(socket) {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.on('data', function take(chunk) {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0 || received.length < end + 4 + 10_000) {
        return;
      }
      socket.off('data', take);
      return received.toString('latin1', 9, 12) === '206'
        ? resolve()
        : reject(new Error(received.toString()));
    });
  });
}

async function measure(store) {
  const server = fork(
    fileURLToPath(new URL('server.mjs', import.meta.url)),
    [folder, JSON.stringify({ adapter: ADAPTER, ...store })],
    { execArgv: [] },
  );
  const ask = async (message) => {
    server.send(message);
    return (await once(server, 'message'))[0];
  };
  const [port] = await once(server, 'message');
  const rounds = {};
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const [kind, { links, options }] of Object.entries(KINDS)) {
      const minted = await ask({ do: 'mint', count: links, options });
      const paths = Array.from({ length: REQUESTS }, (_, i) => minted[i % links]);
      const cpuBefore = await ask({ do: 'cpu' });
      const start = performance.now();
      await askAll(port, paths);
      const time = (1000 * (performance.now() - start)) / REQUESTS;
      const cpu = ((await ask({ do: 'cpu' })) - cpuBefore) / REQUESTS;
      if (round >= 0) {
        (rounds[kind] ??= []).push({ time, cpu });
      }
    }
  }
  server.disconnect();
  await once(server, 'exit');
  return rounds;
}

const table = [];
for (const [store, description] of Object.entries(stores)) {
  const { unlimited, ...limited } = await measure(description);
  const middle = (values) => Math.round(median(values));
  const of = (rounds, part) => middle(rounds.map((measured) => measured[part]));
  // of the same round, so that what else the machine does weighs on both
  const added = (rounds, part) => middle(rounds.map((measured, i) => measured[part] - unlimited[i][part]));
  table.push({ store, link: 'unlimited', 'time µs': of(unlimited, 'time'), 'CPU µs': of(unlimited, 'cpu') });
  for (const [kind, rounds] of Object.entries(limited)) {
    table.push({
      store,
      link: kind,
      'time µs': of(rounds, 'time'),
      'CPU µs': of(rounds, 'cpu'),
      'adds time µs': added(rounds, 'time'),
      'adds CPU µs': added(rounds, 'cpu'),
    });
  }
}
console.log(
  `Node ${process.versions.node}, ${ADAPTER}, ${REQUESTS} requests a round, median of ${ROUNDS} rounds`,
);
console.table(table);
await cleanUp();
