/**
 * Latency of a trivial route beside downloads of a warm file, of one that the kernel forgets again and again,
 * and of a sparse one of 8 GiB. `node bench/delivery/bystander.mjs --rounds 5 --seconds 5`, or `--quick` to
 * see that it runs.
 *
 * The trivial route is asked every 5 ms by a process of its own, the downloads run in this one. A latency
 * counts from the moment the request was due, so that a server which holds up one request pays for those
 * behind it.
 */
import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openSync, ftruncateSync, closeSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  args,
  finish,
  folder,
  GIB,
  makeFile,
  median,
  record,
  report,
  rounds,
  selected,
  startServer,
} from './harness.mjs';
import { TOKEN } from './token.mjs';

const seconds = Number(args.seconds ?? (args.quick ? 1 : 5));
const measuredRounds = args.quick ? 1 : rounds;
const counts = (args.parallel === '1' ? '1,4,64' : args.parallel).split(',').map(Number);
const kinds = (args.files ?? 'warm,evicted,sparse').split(',');
const names = selected(['ours-express', 'stock-express', 'ours-fastify', 'stock-fastify']);

const FILES = {
  warm: () => makeFile('warm.bin', args.quick ? GIB / 4 : GIB),
  evicted: () => makeFile('evicted.bin', args.quick ? GIB / 4 : GIB),
  sparse: () => makeSparseFile('sparse.bin', 8 * GIB),
};

function makeSparseFile(name, size) {
  const fd = openSync(join(folder, name), 'w');
  ftruncateSync(fd, size);
  closeSync(fd);
  return name;
}

/** Node has no posix_fadvise, Python has. Pages that are mapped or dirty stay, and so do those of a tmpfs. */
const EVICT = `
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(fd)
while True:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    time.sleep(0.05)
`;

function keepEvicting(path) {
  const child = spawn('python3', ['-c', EVICT, path], { stdio: ['ignore', 'ignore', 'inherit'] });
  return () => child.kill();
}

/** Downloads the file again and again over so many connections until it is told to stop. */
function downloadOn(port, path, parallel) {
  const sockets = new Set();
  const buffers = Array.from({ length: parallel }, () =>
    Buffer.allocUnsafe(Number(args['client-kib']) * 1024),
  );
  let bytes = 0;
  let stopped = false;
  const begin = (buffer) => {
    const socket = net.connect({
      port,
      host: '127.0.0.1',
      onread: { buffer, callback: (count) => ((bytes += count), true) },
    });
    sockets.add(socket);
    socket.on('connect', () =>
      socket.write(
        `GET /${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
      ),
    );
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      if (!stopped) {
        begin(buffer);
      }
    });
  };
  buffers.forEach(begin);
  return () => {
    stopped = true;
    sockets.forEach((socket) => socket.destroy());
    return bytes;
  };
}

const client = fork(fileURLToPath(new URL('./bystander-client.mjs', import.meta.url)));
async function latencies(port) {
  client.send({ port, milliseconds: seconds * 1000 });
  const [values] = await once(client, 'message');
  return values.sort((a, b) => a - b);
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

async function measure(server, file, kind, parallel) {
  const stopEvicting = kind === 'evicted' ? keepEvicting(join(folder, file)) : () => {};
  const stop = downloadOn(server.port, file, parallel);
  const start = performance.now();
  // What comes first is slow start, and the first round of the compiler
  await new Promise((resolve) => setTimeout(resolve, 300));
  const sorted = await latencies(server.port);
  const rate = stop() / GIB / ((performance.now() - start) / 1000);
  stopEvicting();
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), max: sorted.at(-1), rate };
}

if (kinds.includes('evicted') && spawnSync('python3', ['--version']).error) {
  console.log('python3 is not installed: the evicted file is left out');
  kinds.splice(kinds.indexOf('evicted'), 1);
}
const servers = [];
for (const name of names) {
  servers.push(await startServer(name));
}
for (const server of servers) {
  const idle = await latencies(server.port);
  console.log(
    `${server.name.padEnd(22)} alone: p50 ${quantile(idle, 0.5).toFixed(2)}, p99 ${quantile(idle, 0.99).toFixed(2)} ms`,
  );
}
for (const kind of kinds) {
  const file = FILES[kind]();
  for (const parallel of counts) {
    const results = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = args.quick ? 0 : -1; round < measuredRounds; round++) {
      for (const server of servers) {
        const result = await measure(server, file, kind, parallel);
        // The first round warms up
        if (round >= 0) {
          results[server.name].push(result);
        }
      }
    }
    const column = (key) =>
      Object.fromEntries(names.map((name) => [name, results[name].map((result) => result[key])]));
    const title = `beside ${parallel} of ${kind === 'evicted' ? 'an evicted' : `a ${kind}`} file`;
    report(`p99 ${title}`, 'ms', column('p99'), 2);
    record('ms', column('p99'));
    for (const name of names) {
      const of = (key) => median(column(key)[name]).toFixed(2);
      console.log(`  ${name.padEnd(22)} p50 ${of('p50')} ms, max ${of('max')} ms, ${of('rate')} GiB/s`);
    }
  }
}
client.kill();
await finish();
