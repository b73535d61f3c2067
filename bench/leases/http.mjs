/**
 * What a limited link adds to a request, over HTTP: the time until the whole answer is there, and the CPU of the server
 * process. One request after another, each for 10 of 100 kB, each with a link of its own unless it joins; on as many
 * connections as `--at-once` says, 1 by default. Medians over alternating rounds. With `--before COMMIT` the same is
 * measured of that commit, in turns with this one, and what a request costs is compared.
 * Usage: node bench/leases/http.mjs [--requests 500] [--rounds 9] [--at-once 16] [--adapter express] [--only Redis]
 *   [--before COMMIT]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cleanUp, compile, median, postgres, redis, temporaryFolder } from './support.mjs';

const { values: args } = parseArgs({
  options: {
    requests: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '9' },
    'at-once': { type: 'string', default: '1' },
    adapter: { type: 'string', default: 'express' },
    only: { type: 'string' },
    before: { type: 'string' },
  },
});
const REQUESTS = Number(args.requests);
const ROUNDS = Number(args.rounds);
const AT_ONCE = Number(args['at-once']);
const ADAPTER = args.adapter;
const WARM_UP_ROUNDS = 2;

const KINDS = {
  unlimited: { links: REQUESTS, options: {} },
  'limited, first request': { links: REQUESTS, options: { maxDownloads: 1 } },
  'limited, joining': { links: 1, options: { maxDownloads: 1, byteBudget: 1e12 } },
};

const folders = { now: compile().folder, ...(args.before && { before: compile(args.before).folder }) };
/** What a process of a version is to open its store with. */
const stores = { memory: () => ({}) };
if (process.getBuiltinModule('node:sqlite')) {
  stores.SQLite = () => ({ sqlite: { file: join(temporaryFolder(), 'leases.db') } });
} else {
  console.log(`SQLite: not measured, Node ${process.versions.node} has no node:sqlite`);
}
const url = await redis();
if (url) {
  stores.Redis = (version) => ({ redis: { url, prefix: `${version}:` } });
}
const database = await postgres();
if (database) {
  stores.PostgreSQL = () => ({ postgres: { url: database } });
}

/** Asks for all paths, for the next one as soon as a connection is free. */
async function askAll(port, paths) {
  const left = paths.values();
  await Promise.all(Array.from({ length: AT_ONCE }, () => askOn(port, left)));
}

async function askOn(port, paths) {
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

/** A server process of one version. */
async function start(version, store) {
  const server = fork(
    fileURLToPath(new URL('server.mjs', import.meta.url)),
    [folders[version], JSON.stringify({ adapter: ADAPTER, plain: true, ...store })],
    { execArgv: [] },
  );
  const ask = async (message) => {
    server.send(message);
    return (await once(server, 'message'))[0];
  };
  const [port] = await once(server, 'message');
  const end = async () => {
    server.disconnect();
    await once(server, 'exit');
  };
  return { ask, port, end };
}

/** Microseconds for each request of one kind. */
async function measure({ ask, port }, { links, options }) {
  const minted = await ask({ do: 'mint', count: links, options });
  const paths = Array.from({ length: REQUESTS }, (_, i) => minted[i % links]);
  const cpuBefore = await ask({ do: 'cpu' });
  const start = performance.now();
  await askAll(port, paths);
  const time = (1000 * (performance.now() - start)) / REQUESTS;
  return { time, cpu: ((await ask({ do: 'cpu' })) - cpuBefore) / REQUESTS };
}

/** By version and kind, what each round measured. */
async function measureAll(store, description) {
  const versions = Object.keys(folders).filter((version) => version === 'now' || store !== 'PostgreSQL');
  const servers = {};
  const rounds = {};
  for (const version of versions) {
    servers[version] = await start(version, description(version));
    rounds[version] = {};
  }
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const [kind, load] of Object.entries(KINDS)) {
      // So that what else the machine does weighs on both
      for (const version of round % 2 === 0 ? versions : versions.toReversed()) {
        const measured = await measure(servers[version], load);
        if (round >= 0) {
          (rounds[version][kind] ??= []).push(measured);
        }
      }
    }
  }
  for (const server of Object.values(servers)) {
    await server.end();
  }
  return rounds;
}

const table = [];
const ratios = [];
const middle = (values) => Math.round(median(values));
/** What a kind of link adds to an unlimited one of the same round, so that what else the machine does weighs on both. */
const added = (version, kind, part) =>
  middle(version[kind].map((measured, i) => measured[part] - version.unlimited[i][part]));
for (const [store, description] of Object.entries(stores)) {
  if (args.only && args.only !== store) {
    continue;
  }
  const { now, before = {} } = await measureAll(store, description);
  for (const [kind, rounds] of Object.entries(before)) {
    const ratio = (part) => median(rounds.map((one, i) => now[kind][i][part] / one[part])).toFixed(2);
    ratios.push({
      store,
      link: kind,
      'CPU of before': ratio('cpu'),
      'time of before': ratio('time'),
      'adds CPU µs': added(now, kind, 'cpu'),
      'added before': added(before, kind, 'cpu'),
    });
  }
  for (const [kind, rounds] of Object.entries(now)) {
    table.push({
      store,
      link: kind,
      'time µs': middle(rounds.map(({ time }) => time)),
      'CPU µs': middle(rounds.map(({ cpu }) => cpu)),
      'adds time µs': added(now, kind, 'time'),
      'adds CPU µs': added(now, kind, 'cpu'),
    });
  }
}
console.log(
  `Node ${process.versions.node}, ${ADAPTER}, ${AT_ONCE} at once, ${REQUESTS} requests a round, median of ${ROUNDS} rounds`,
);
console.table(table);
if (args.before) {
  console.log(`a request, divided by what it costs at ${args.before}:`);
  console.table(ratios);
}
await cleanUp();
