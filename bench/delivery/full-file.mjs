/** Server CPU per GiB of a whole file, one download at a time. `node bench/delivery/full-file.mjs --rounds 5` */
import {
  args,
  download,
  finish,
  GIB,
  hasNginx,
  makeFile,
  report,
  rounds,
  selected,
  startServer,
} from './harness.mjs';
import { TOKEN } from './token.mjs';

const size = Number(args.gib) * GIB;
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
const full = Object.fromEntries(names.map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const server of servers) {
    const before = await server.stats();
    const bytes = await download(server.port, file, `Authorization: Bearer ${TOKEN}\r\n`);
    if (bytes < size) {
      throw new Error(`${server.name} sent ${bytes} bytes`);
    }
    const after = await server.stats();
    // The first round warms up
    if (round >= 0) {
      cpu[server.name].push(((after.cpu - before.cpu) / size) * GIB);
      full[server.name].push(after.fullCollections - before.fullCollections);
    }
  }
}
report('Server CPU per GiB', 's', cpu);
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
