/**
 * Prints the table of docs/costs.md, as Markdown, from the benches themselves:
 * `npm run bench:figures -- --node 24,20 --rounds 5`. With `--write` the table takes its place in the page.
 * Each row compares server CPU within one run; a ratio is the median of the ratios of the rounds.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeIntoPage } from './support/page.mjs';

const { values: args } = parseArgs({
  options: {
    node: { type: 'string', default: '24,20' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const NODES = args.node.split(',');

const requests = (scenario) => ['delivery/requests.mjs', '--scenario', scenario, '--requests', '3000'];
const guard = (adapter, algorithm) => ['dist/guard/main.js', '--adapter', adapter, '--algorithm', algorithm];
const wholeFile = (...more) => ['delivery/full-file.mjs', ...more];

/** What ours is compared to, candidate by candidate. Groups of the same bench are measured in one run. */
const GROUPS = [
  {
    what: 'a file of 1 KiB, guarded',
    bench: requests('small'),
    rows: [
      ['ours-express-guarded', 'stock-express-length', 'Nest on Express, unguarded, with a length'],
      ['ours-fastify-guarded', 'stock-fastify-length', 'Nest on Fastify, unguarded, with a length'],
      ['ours-fastify-guarded', 'fastify-static', '@fastify/static, unguarded'],
      ['ours-express-guarded', 'express-sendfile', '`sendFile` of plain Express, unguarded'],
    ],
  },
  {
    what: 'a file of 64 KiB, guarded',
    bench: requests('medium'),
    rows: [
      ['ours-express-guarded', 'stock-express-length', 'Nest on Express, unguarded, with a length'],
      ['ours-fastify-guarded', 'stock-fastify-length', 'Nest on Fastify, unguarded, with a length'],
    ],
  },
  {
    what: 'a file of 1 KiB, delivery alone',
    bench: requests('small'),
    rows: [
      ['ours-express', 'stock-express-length', 'Nest on Express, with a length'],
      ['ours-express', 'sendfile-express', 'Nest on Express, `sendFile`'],
      ['ours-fastify', 'stock-fastify-length', 'Nest on Fastify, with a length'],
      ['ours-fastify', 'sendfile-fastify', 'Nest on Fastify, `sendFile` of @fastify/static'],
    ],
  },
  {
    what: 'a range of 64 KiB, delivery alone',
    bench: requests('ranges'),
    rows: [
      ['ours-express', 'sendfile-express', 'Nest on Express, `sendFile`'],
      ['ours-fastify', 'sendfile-fastify', 'Nest on Fastify, `sendFile` of @fastify/static'],
    ],
  },
  {
    what: '304, delivery alone',
    bench: requests('unchanged'),
    rows: [
      ['path-express', 'fresh-express', 'Nest on Express, with a length and a 304 by `fresh`'],
      ['path-express', 'sendfile-express', 'Nest on Express, `sendFile`'],
      ['path-fastify', 'fresh-fastify', 'Nest on Fastify, with a length and a 304 by `fresh`'],
      ['path-fastify', 'sendfile-fastify', 'Nest on Fastify, `sendFile` of @fastify/static'],
    ],
  },
  {
    what: 'a range of 64 KiB, guarded',
    bench: requests('ranges'),
    rows: [
      ['ours-express-guarded', 'recipe-express-guarded', 'passport-jwt and ranges by hand, Express'],
      ['ours-fastify-guarded', 'recipe-fastify-guarded', 'passport-jwt and ranges by hand, Fastify'],
    ],
  },
  ...['express', 'fastify'].map((adapter) => ({
    what: `what the guard adds, ${title(adapter)}`,
    bench: guard(adapter, 'HS256,RS256'),
    rows: [
      [`${adapter} HS256: ours`, `${adapter} HS256: recipe`, 'what passport-jwt by hand adds, HS256'],
      [`${adapter} RS256: ours`, `${adapter} RS256: recipe`, 'the same, RS256'],
      [`${adapter} RS256: ours, 5,000`, `${adapter} RS256: recipe`, 'the same, 5,000 people in turn'],
      [
        `${adapter} HS256: guard alone`,
        `${adapter} HS256: recipe`,
        'the same, the guard without the interceptor',
      ],
      [`${adapter} RS256: by link`, `${adapter} RS256: recipe`, 'the same, by a link'],
    ],
  })),
  {
    what: 'p99 latency of a small route beside 4 downloads of 1 GiB',
    bench: ['delivery/bystander.mjs', '--files', 'warm', '--parallel', '4', '--seconds', '2'],
    rows: [
      ['ours-express', 'stock-express', 'beside Nest on Express'],
      ['ours-fastify', 'stock-fastify', 'beside Nest on Fastify'],
    ],
  },
  {
    what: 'a file of 1 GiB',
    bench: wholeFile(),
    rows: [
      ['ours-express', 'stock-express-length', 'Nest on Express, with a length'],
      ['ours-fastify', 'stock-fastify', 'Nest on Fastify'],
      ['ours-express', 'nginx-default', 'nginx as it is built'],
      ['ours-express', 'nginx', 'nginx with `sendfile`'],
    ],
  },
  {
    what: 'a file of 1 GiB, eight at once',
    bench: wholeFile('--parallel', '8'),
    rows: [
      ['ours-express', 'nginx-default', 'nginx as it is built, ours on Express'],
      ['ours-fastify', 'nginx-default', 'nginx as it is built, ours on Fastify'],
    ],
  },
];

const folder = mkdtempSync(join(tmpdir(), 'download-figures-'));
const groups = args.only ? GROUPS.filter(({ what }) => what.includes(args.only)) : GROUPS;
const measured = new Map();
for (const node of NODES) {
  for (const key of new Set(groups.map(keyOf))) {
    const same = groups.filter((group) => keyOf(group) === key);
    measured.set(`${node} ${key}`, run(node, same));
  }
}
rmSync(folder, { recursive: true });

const table = [
  `| | compared with | ${NODES.map((node) => `Node ${node}`).join(' | ')} |`,
  `| --- | --- | ${NODES.map(() => '---').join(' | ')} |`,
  ...groups.flatMap((group) =>
    group.rows.map(([ours, other, label]) => {
      const cells = NODES.map((node) => cell(measured.get(`${node} ${keyOf(group)}`), ours, other));
      return `| ${group.what} | ${label} | ${cells.join(' | ')} |`;
    }),
  ),
].join('\n');
console.log(`\n${table}`);
if (args.write) {
  writeIntoPage('costs.md', 'figures', table);
}

function keyOf({ bench }) {
  return bench.join(' ');
}

/** Runs the bench of some groups on one Node, and reads what each candidate cost in each round. */
function run(node, [first, ...others]) {
  const json = join(folder, `${node}-${measured.size}.jsonl`);
  const [script, ...options] = first.bench;
  const rows = [first, ...others].flatMap((group) => group.rows);
  const candidates = [...new Set(rows.flatMap(([ours, other]) => [ours, other]))];
  const chosen = script.includes('guard')
    ? ['--variants', candidates.map((name) => name.replace(/^.*?: /, '')).join(';')]
    : ['--candidates', candidates.join(',')];
  const command = [
    fileURLToPath(new URL(script, import.meta.url)),
    ...options,
    ...chosen,
    ...['--rounds', args.rounds, '--json', json],
  ];
  const onThisNode = process.versions.node.startsWith(`${node}.`);
  console.log(`\n# ${first.what}, Node ${node}`);
  const { status } = onThisNode
    ? spawnSync(process.execPath, command, { stdio: 'inherit' })
    : spawnSync('npx', ['-y', '-p', `node@${node}`, '--', 'node', ...command], { stdio: 'inherit' });
  if (status !== 0) {
    throw new Error(`${script} ended with ${status} on Node ${node}`);
  }
  const lines = readFileSync(json, 'utf8').trim().split('\n');
  return Object.assign({}, ...lines.map((line) => JSON.parse(line)));
}

function cell(results, ours, other) {
  const { unit } = results[ours];
  const ratio = median(results[ours].rounds.map((value, round) => value / results[other].rounds[round]));
  const [mine, theirs] = [ours, other].map((name) => number(median(results[name].rounds)));
  return `${ratio.toFixed(2)} (${mine} and ${theirs} ${unit})`;
}

function number(value) {
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function title(word) {
  return word[0].toUpperCase() + word.slice(1);
}
