/**
 * What links and revocations cost as their number grows, with the memory store:
 * `npm run bench:scale -- --sizes 1000,10000,100000,1000000`. Prints Markdown; with `--write` the table takes its place
 * in docs/costs.md.
 */
import 'reflect-metadata';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { parseArgs } from 'node:util';
import { DownloadAuthModule, DownloadLinks, StreamDownload } from '../dist/index.js';
import { LeaseKeeper } from '../dist/leases/keeper.js';
import { MemoryLeaseStore } from '../dist/leases/memory/memory.store.js';
import { heap, linkNamed, useLink } from './leases/memory.mjs';
import { writeIntoPage } from './support/page.mjs';

const { values: args } = parseArgs({
  options: {
    sizes: { type: 'string', default: '1000,10000,100000,1000000' },
    write: { type: 'boolean', default: false },
  },
});
const SIZES = args.sizes.split(',').map(Number);
const CHECKS = 20_000;
const CLIENT = { address: '192.0.2.1', userAgent: 'bench' };

/** Microseconds of CPU for each of so many calls. */
async function cpuOf(count, call) {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) {
    await call(i);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

async function minting() {
  class Files {
    download() {}
  }
  const descriptor = Object.getOwnPropertyDescriptor(Files.prototype, 'download');
  Param('id')(Files.prototype, 'download', 0);
  Get('files/:id')(Files.prototype, 'download', descriptor);
  StreamDownload()(Files.prototype, 'download', descriptor);
  Controller()(Files);
  class App {}
  Module({
    imports: [DownloadAuthModule.forRoot({ secret: 'a secret for the benchmark that is long enough' })],
    controllers: [Files],
  })(App);
  const app = await NestFactory.create(App, { logger: ['error'] });
  await app.init();
  const links = app.get(DownloadLinks);
  const mint = (id) => links.create(Files, 'download', { params: { id: String(id) } });
  await cpuOf(2000, mint);
  const cells = [];
  for (const size of SIZES) {
    cells.push(`${(await cpuOf(size, mint)).toFixed(0)} µs`);
  }
  await app.close();
  return cells;
}

async function keeperFor(size) {
  const keeper = new LeaseKeeper({ store: new MemoryLeaseStore({ capacity: 2 * size }) });
  await keeper.start();
  return keeper;
}

/** Limited links, each used once. */
async function limitedLinks(size) {
  const keeper = await keeperFor(size);
  const before = heap();
  const cpu = await cpuOf(size, (i) => useLink(keeper, i));
  const bytes = (heap() - before) / size;
  await keeper.close();
  return { cpu: `${cpu.toFixed(0)} µs`, bytes: bytes.toFixed(0) };
}

/** Revoked links, and what it then costs to admit one that is not. */
async function revocations(size) {
  const keeper = await keeperFor(size);
  const before = heap();
  const cpu = await cpuOf(size, (i) => keeper.revoke({ link: `revoked-${i}` }));
  const bytes = (heap() - before) / size;
  const admit = (i) => keeper.admit(linkNamed(`link-${i}`), CLIENT);
  await cpuOf(CHECKS / 10, admit);
  const check = await cpuOf(CHECKS, admit);
  await keeper.close();
  return { cpu: `${cpu.toFixed(0)} µs`, bytes: bytes.toFixed(0), check: `${check.toFixed(0)} µs` };
}

const minted = await minting();
const limited = [];
const revoked = [];
for (const size of SIZES) {
  limited.push(await limitedLinks(size));
  revoked.push(await revocations(size));
}
const row = (title, cells) => `| ${title} | ${cells.join(' | ')} |`;
const cellsOf = (results, name) => results.map((result) => result[name]);
const sizes = SIZES.map((size) => size.toLocaleString('en'));
const dashes = SIZES.map(() => '---');
const table = [
  row(`Node ${process.versions.node}, CPU`, sizes),
  row('---', dashes),
  row('making a link', minted),
  row('one download of a limited link', cellsOf(limited, 'cpu')),
  row('bytes of memory for each used link', cellsOf(limited, 'bytes')),
  row('revoking a link', cellsOf(revoked, 'cpu')),
  row('bytes of memory for each revocation', cellsOf(revoked, 'bytes')),
  row('admitting a link beside so many revocations', cellsOf(revoked, 'check')),
].join('\n');
console.log(table);
if (args.write) {
  writeIntoPage('costs.md', 'scale', table);
}
