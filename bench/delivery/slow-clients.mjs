/**
 * Server memory with many clients that read 64 KiB per second each.
 * `node --expose-gc bench/delivery/slow-clients.mjs --clients 500`
 */
import net from 'node:net';
import { args, finish, GIB, makeFile, selected, startServer } from './harness.mjs';

const file = makeFile('big.bin', GIB / 4);
const count = Number(args.clients ?? 500);
const SECONDS = 12;

/** Takes 64 KiB, then looks away for a second; the kernel is told not to read ahead for it. */
function slowClient(port) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  let left = 64 * 1024;
  socket.on('connect', () => socket.write(`GET /${file} HTTP/1.1\r\nHost: x\r\n\r\n`));
  socket.on('data', (chunk) => {
    left -= chunk.length;
    if (left <= 0) {
      socket.pause();
    }
  });
  socket.on('error', () => {});
  const timer = setInterval(() => {
    left = 64 * 1024;
    socket.resume();
  }, 1000);
  return () => (clearInterval(timer), socket.destroy());
}

const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
for (const name of selected(['ours-express', 'ours-fastify', 'stock-express', 'stock-fastify'])) {
  const server = await startServer(name);
  const warm = Array.from({ length: 20 }, () => slowClient(server.port));
  await wait(1);
  warm.forEach((stop) => stop());
  await wait(1);
  const before = await server.collect();
  const clients = Array.from({ length: count }, () => slowClient(server.port));
  await wait(SECONDS);
  const running = await server.stats();
  const collected = await server.collect();
  clients.forEach((stop) => stop());
  await wait(2);
  const after = await server.collect();
  const kib = (bytes) => (bytes / 1024 / count).toFixed(1);
  console.log(
    `${name.padEnd(16)} per client: ${kib(running.rss - before.rss)} KiB of RSS, ${kib(collected.rss - before.rss)} after a collection; ` +
      `RSS ${(before.rss / 2 ** 20).toFixed(0)} → ${(running.rss / 2 ** 20).toFixed(0)} → ${(after.rss / 2 ** 20).toFixed(0)} MiB`,
  );
  await server.stop();
}
await finish();
