/**
 * What a guard costs: CPU of the server process per request, of an unguarded route, of the recipe of Nest's
 * documentation and of this package. See bench/README.md for how to run and read it.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Load } from '../support/load.js';
import { median, quartiles } from '../support/statistics.js';
import { ADAPTERS, ALGORITHMS } from './variants.js';
import type { ServerCpu, ServerReady, Variant } from './variants.js';

const { values: chosen } = parseArgs({
  options: {
    adapter: { type: 'string', default: ADAPTERS.join(',') },
    algorithm: { type: 'string', default: ALGORITHMS.join(',') },
    rounds: { type: 'string', default: '9' },
    requests: { type: 'string', default: '1500' },
    connections: { type: 'string', default: '16' },
    json: { type: 'string' },
    variants: { type: 'string' },
  },
});
const ROUNDS = Number(chosen.rounds);
const REQUESTS = Number(chosen.requests);
const WARM_UP_ROUNDS = 3;

/** Microseconds per request, by variant, one value for each round. */
type Measured = Map<Variant['name'], number[]>;

console.log(
  `Node ${process.version}, ${ROUNDS} rounds of ${REQUESTS} requests after ${WARM_UP_ROUNDS} to warm up`,
);
console.log('µs of server CPU per request; "adds" is over the unguarded route of the same round\n');
for (const adapter of chosen.adapter.split(',')) {
  for (const algorithm of chosen.algorithm.split(',')) {
    const measured = await measure(adapter, algorithm);
    report(`${adapter} ${algorithm}`, measured);
    record(`${adapter} ${algorithm}`, measured);
  }
}

async function measure(adapter: string, algorithm: string): Promise<Measured> {
  const server = fork(fileURLToPath(new URL('server.js', import.meta.url)), [adapter, algorithm]);
  try {
    const [{ port, variants: all }] = (await once(server, 'message')) as [ServerReady];
    const wanted = chosen.variants && ['unguarded', 'recipe', ...chosen.variants.split(';')];
    const variants = wanted ? all.filter(({ name }) => wanted.includes(name)) : all;
    const load = await Load.open(port, Number(chosen.connections));
    const measured: Measured = new Map(variants.map(({ name }) => [name, []]));
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
      for (const variant of rotated(variants, round + WARM_UP_ROUNDS)) {
        const cost = await burst(server, load, variant, round + WARM_UP_ROUNDS);
        if (round >= 0) {
          measured.get(variant.name)!.push(cost);
        }
      }
    }
    load.close();
    return measured;
  } finally {
    server.disconnect();
  }
}

async function burst(
  server: ChildProcess,
  load: Load,
  { path, headers }: Variant,
  round: number,
): Promise<number> {
  if (round === 0) {
    await load.burst(path, headers, headers.length);
  }
  const before = await cpuOf(server);
  await load.burst(path, headers, REQUESTS, round * REQUESTS);
  return ((await cpuOf(server)) - before) / REQUESTS;
}

async function cpuOf(server: ChildProcess): Promise<number> {
  const answer = once(server, 'message') as Promise<[ServerCpu]>;
  server.send('cpu');
  const [{ cpu }] = await answer;
  return cpu;
}

/** Another variant goes first in each round, so that none always follows the same one. */
function rotated<T>(list: readonly T[], by: number): T[] {
  const start = by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** For `bench/figures.mjs`: what each variant adds in each round, in the file that `--json` names. */
function record(title: string, measured: Measured): void {
  if (chosen.json) {
    const unguarded = measured.get('unguarded')!;
    const added = [...measured].map(([name, costs]) => [
      `${title}: ${name}`,
      { unit: 'µs', rounds: costs.map((cost, i) => cost - unguarded[i]!) },
    ]);
    appendFileSync(chosen.json, `${JSON.stringify(Object.fromEntries(added))}\n`);
  }
}

function report(title: string, measured: Measured): void {
  const unguarded = measured.get('unguarded')!;
  const over = (name: Variant['name']): number[] =>
    measured.get(name)!.map((cost, i) => cost - unguarded[i]!);
  const recipeAdds = over('recipe');
  console.log(`${title}: unguarded ${median(unguarded).toFixed(1)}`);
  console.log('  variant      adds   (middle half)     of unguarded   of what the recipe adds');
  for (const name of measured.keys()) {
    if (name === 'unguarded') {
      continue;
    }
    const adds = over(name);
    const [low, high] = quartiles(adds);
    const ofUnguarded = median(measured.get(name)!.map((cost, i) => cost / unguarded[i]!));
    const ofRecipe = median(adds.map((cost, i) => cost / recipeAdds[i]!));
    console.log(
      [
        `  ${name.padEnd(12)}`,
        median(adds).toFixed(1).padStart(5),
        `(${low.toFixed(1)} to ${high.toFixed(1)})`.padStart(17),
        ofUnguarded.toFixed(2).padStart(14),
        ofRecipe.toFixed(2).padStart(14),
      ].join(' '),
    );
  }
  console.log();
}
