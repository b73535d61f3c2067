/**
 * Memory and descriptors after many downloads that were aborted. `node bench/delivery/aborts.mjs --requests
 * 10000`
 */
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { args, finish, makeFile, selected, startServer } from './harness.mjs';

const file = makeFile('big.bin', 64 * 1024 * 1024);
const total = Number(args.requests ?? 10_000);

/** Leaves after some bytes, now and then before the first. */
function abort(port, i) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.write(`GET /${file} HTTP/1.1\r\nHost: x\r\n\r\n`);
      if (i % 4 === 0) {
        socket.destroy();
      }
    });
    let left = (i % 40) * 16_384;
    socket.on('data', (chunk) => {
      left -= chunk.length;
      if (left <= 0) {
        i % 2 ? socket.resetAndDestroy() : socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.on('close', resolve);
  });
}

const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;
for (const name of selected(['ours-express', 'ours-fastify'])) {
  const server = await startServer(name);
  let done = 0;
  const abortMany = async (count) => {
    const end = done + count;
    const worker = async () => {
      while (done < end) {
        await abort(server.port, done++);
      }
    };
    await Promise.all(Array.from({ length: 50 }, worker));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { rss, heapUsed, external } = await server.collect();
    const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
    return `RSS ${mib(rss)} MiB, heap ${mib(heapUsed)} and external ${mib(external)} MiB in use after a collection, ${descriptors(server.pid)} descriptors`;
  };
  console.log(`${name.padEnd(14)} after 1000: ${await abortMany(1000)}`);
  for (let i = 0; i < 4; i++) {
    console.log(`${name.padEnd(14)} after ${1000 + ((i + 1) * total) / 4}: ${await abortMany(total / 4)}`);
  }
  await server.stop();
}
await finish();
