/** What the benches share: processes, a client that copies, files, medians. */
import { execFileSync, fork, spawn } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

export const GIB = 1024 ** 3;

export const { values: args } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    server: { type: 'string', default: fileURLToPath(new URL('./servers.mjs', import.meta.url)) },
    candidates: { type: 'string' },
    clients: { type: 'string' },
    requests: { type: 'string' },
    connections: { type: 'string', default: '16' },
    parallel: { type: 'string', default: '1' },
    scenario: { type: 'string' },
    seconds: { type: 'string' },
    json: { type: 'string' },
    files: { type: 'string' },
    quick: { type: 'boolean', default: false },
    gib: { type: 'string', default: '1' },
    'client-kib': { type: 'string', default: '64' },
  },
});
export const rounds = Number(args.rounds);

export const folder = join(tmpdir(), `download-bench-${process.pid}`);
mkdirSync(folder, { recursive: true });
const started = [];
export async function finish() {
  for (const server of started) {
    await server.stop();
  }
  rmSync(folder, { recursive: true, force: true });
}
// A bench that fails leaves no server behind
process.on('exit', () => {
  for (const { pid } of started) {
    try {
      process.kill(pid);
    } catch {
      // it has ended
    }
  }
  rmSync(folder, { recursive: true, force: true });
});

export function makeFile(name, size) {
  const fd = openSync(join(folder, name), 'w');
  const block = Buffer.alloc(Math.min(size, 4 * 1024 * 1024), 'download ');
  for (let left = size; left > 0; left -= block.length) {
    writeSync(fd, block, 0, Math.min(left, block.length));
  }
  closeSync(fd);
  return name;
}

const ask = (child, question) =>
  new Promise((resolve) => {
    child.once('message', resolve);
    child.send(question);
  });

/** One candidate in a process of its own. */
export async function startServer(name) {
  if (name.startsWith('nginx')) {
    return startNginx(name);
  }
  const child = fork(
    fileURLToPath(new URL('./server-process.mjs', import.meta.url)),
    [name, pathToFileURL(resolve(args.server)).href, folder],
    { execArgv: ['--expose-gc'] },
  );
  const { port } = await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  const server = {
    name,
    port,
    pid: child.pid,
    stats: () => ask(child, 'stats'),
    collect: () => ask(child, 'collect'),
    stop: () =>
      child.connected
        ? new Promise((resolve) => (child.once('exit', resolve), child.disconnect()))
        : undefined,
  };
  started.push(server);
  return server;
}

/**
 * `nginx`: with sendfile; `nginx-default`: as it is built, which reads into buffers of its own. One worker,
 * no master.
 */
async function startNginx(name) {
  const port = await freePort();
  const config = join(folder, `${name}.conf`);
  const sending = name === 'nginx-default' ? '' : 'sendfile on; tcp_nopush on;';
  writeFileSync(
    config,
    `worker_processes 1; daemon off; master_process off; pid ${folder}/${name}.pid; error_log stderr crit;
     events { worker_connections 2048; }
     http { access_log off; ${sending} keepalive_requests 1000000;
       client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3;
       uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
       server { listen 127.0.0.1:${port}; root ${folder}; } }`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', config], { stdio: 'inherit' });
  await until(() => canConnect(port));
  const ticks = Number(execFileSync('getconf', ['CLK_TCK']));
  const field = (name) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) *
    1024;
  const server = {
    name,
    port,
    pid: child.pid,
    async stats() {
      const parts = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return {
        cpu: (Number(parts[11]) + Number(parts[12])) / ticks,
        fullCollections: 0,
        rss: field('VmRSS'),
        peak: field('VmHWM'),
      };
    },
    collect: async () => ({ rss: field('VmRSS') }),
    stop: () => new Promise((resolve) => (child.once('exit', resolve), child.kill('SIGQUIT'))),
  };
  started.push(server);
  return server;
}

export function hasNginx() {
  const found = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/bin/nginx'].some(existsSync);
  if (!found) {
    console.log('nginx is not installed and left out');
  }
  return found;
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });
}

export async function until(condition) {
  while (!(await condition())) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * One GET on a fresh connection; resolves with how many bytes came. The client has the kernel copy every byte
 * to it, as a real one does, 64 KiB at a time unless `--client-kib` says otherwise, and keeps none.
 */
export function download(port, path, headers = '') {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const socket = net.connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.allocUnsafe(Number(args['client-kib']) * 1024),
        callback(count) {
          bytes += count;
          return true;
        },
      },
    });
    socket.on('connect', () =>
      socket.write(`GET /${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`),
    );
    socket.on('error', reject);
    socket.on('close', () => resolve(bytes));
  });
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

export function selected(defaults) {
  return args.candidates ? args.candidates.split(',') : defaults;
}

/** For `bench/figures.mjs`: server CPU of each candidate in each round, in the file that `--json` names. */
export function record(unit, results) {
  if (args.json) {
    const lines = Object.entries(results).map(([name, rounds]) => ({ [name]: { unit, rounds } }));
    appendFileSync(args.json, `${JSON.stringify(Object.assign({}, ...lines))}\n`);
  }
}

/** Prints medians, and the median of the per-round ratios of the first candidate to every other. */
export function report(title, unit, results, digits = 3) {
  console.log(`\n${title} (Node ${process.versions.node}, ${rounds} rounds, alternating)`);
  const [first] = Object.keys(results);
  for (const [name, values] of Object.entries(results)) {
    const ratios = results[first].map((value, round) => value / values[round]);
    const ratio =
      name === first
        ? ''
        : `  ${first} / ${name}: ${median(ratios).toFixed(2)} [${ratios.map((r) => r.toFixed(2)).join(' ')}]`;
    console.log(`  ${name.padEnd(22)} ${median(values).toFixed(digits).padStart(9)} ${unit}${ratio}`);
  }
}
