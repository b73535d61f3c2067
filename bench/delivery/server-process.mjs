/** Runs one candidate and answers questions about its own process. */
import { readFileSync } from 'node:fs';
import { PerformanceObserver, constants } from 'node:perf_hooks';

const [name, serverModule, folder] = process.argv.slice(2);
let fullCollections = 0;
new PerformanceObserver((list) => {
  fullCollections += list
    .getEntries()
    .filter(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
}).observe({ entryTypes: ['gc'] });

const peak = () => {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
};

process.on('message', (question) => {
  if (question === 'stats') {
    const { user, system } = process.cpuUsage();
    process.send({
      cpu: (user + system) / 1e6,
      fullCollections,
      rss: process.memoryUsage().rss,
      peak: peak(),
    });
  } else if (question === 'collect') {
    globalThis.gc?.();
    setTimeout(() => process.send(process.memoryUsage()), 200);
  }
});
process.on('disconnect', () => process.exit());

const { start } = await import(serverModule);
process.send({ port: await start(name, { folder }) });
