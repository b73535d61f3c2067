/**
 * Server CPU per GiB of a whole file, and GiB per second, one download at a time or several.
 * `node bench/delivery/full-file.mjs --rounds 5 --parallel 8`
 */
import {
  args,
  download,
  finish,
  GIB,
  hasNginx,
  makeFile,
  record,
  report,
  rounds,
  selected,
  startServer,
} from './harness.mjs';
import { TOKEN } from './token.mjs';

const size = Number(args.gib) * GIB;
const parallel = Number(args.parallel);
const file = makeFile('big.bin', size);
const names = selected([
  'ours-express',
  'ours-fastify',
  'ours-express-guarded',
  'stock-express',
  'stock-express-length',
  'stock-fastify',
  'express-sendfile',
  'fastify-static',
  ...(hasNginx() ? ['nginx', 'nginx-default'] : []),
]);
const servers = [];
for (const name of names) {
  servers.push(await startServer(name));
}
const cpu = Object.fromEntries(names.map((name) => [name, []]));
const rate = Object.fromEntries(names.map((name) => [name, []]));
const full = Object.fromEntries(names.map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const server of servers) {
    const before = await server.stats();
    const start = performance.now();
    const sent = await Promise.all(
      Array.from({ length: parallel }, () =>
        download(server.port, file, `Authorization: Bearer ${TOKEN}\r\n`),
      ),
    );
    const seconds = (performance.now() - start) / 1000;
    if (sent.some((bytes) => bytes < size)) {
      throw new Error(`${server.name} sent ${sent.join(', ')} bytes`);
    }
    const gib = (parallel * size) / GIB;
    const after = await server.stats();
    // The first round warms up
    if (round >= 0) {
      cpu[server.name].push((after.cpu - before.cpu) / gib);
      rate[server.name].push(gib / seconds);
      full[server.name].push(after.fullCollections - before.fullCollections);
    }
  }
}
report(`Server CPU per GiB, ${parallel} at once`, 's', cpu);
record('s', cpu);
report('GiB per second', '/s', rate, 2);
for (const server of servers) {
  const { peak } = await server.stats();
  console.log(
    `  ${server.name.padEnd(22)} full collections per round ${full[server.name].join(' ')}, peak RSS ${(peak / 2 ** 20).toFixed(0)} MiB`,
  );
}
if (names.includes('ours-fastify') && names[0] !== 'ours-fastify') {
  const others = names.filter((name) => !name.startsWith('ours'));
  report(
    'The same, against Fastify',
    's',
    Object.fromEntries(['ours-fastify', ...others].map((name) => [name, cpu[name]])),
  );
}
await finish();
