// A process with a lease keeper of its own (arguments: ../../support/child-process.mjs).
// Messages to it: { do: 'race' | 'load' | 'hold', … }.
import { load, store, storeTimeout } from '../../support/child-process.mjs';

const { LeaseKeeper } = await load('leases/keeper.js');
const keeper = new LeaseKeeper({ store, ...(storeTimeout && { storeTimeout }) });
await keeper.start();

const plan = {
  method: 'GET',
  status: 200,
  length: 1000,
  intervals: [{ start: 0, end: 1000 }],
  etag: '"v1"',
  ranged: false,
  ifRangeMatched: false,
};

/** Begins a download and sends one byte of it, so that it stays counted. */
async function begin(link, client) {
  const admission = await keeper.admit(link, client);
  await admission.planned(plan);
  admission.sent(0, 1);
  return admission;
}

const actions = {
  /** Many first requests of distinct clients at once. */
  async race({ link, clients, name }) {
    const results = await Promise.allSettled(
      Array.from({ length: clients }, (_, i) =>
        begin(link, { address: '192.0.2.1', userAgent: `${name}-${i}` }),
      ),
    );
    const codes = results
      .filter((r) => r.status === 'rejected')
      .map((r) => r.reason.code ?? String(r.reason));
    process.send({ type: 'raced', served: clients - codes.length, codes });
  },
  /** Downloads of ever new clients until the process is killed, telling of each that was granted. */
  async load({ links, name }) {
    for (let i = 0; ; i++) {
      const link = links[i % links.length];
      const outcome = await begin(link, { address: '192.0.2.1', userAgent: `${name}-${i}` }).then(
        () => 'served',
        (error) => error.code ?? String(error),
      );
      process.send({ type: 'loaded', link: link.id, outcome });
      if (i % 10 === 0) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  },
  /** One download that runs until it is cut. */
  async hold({ link }) {
    const { signal } = await begin(link, { address: '192.0.2.1', userAgent: 'holder' });
    signal.addEventListener('abort', () => process.send({ type: 'cut', code: signal.reason.code }));
    process.send({ type: 'holding' });
  },
};

process.on('message', (message) => void actions[message.do](message));
process.on('disconnect', () => process.exit());
process.send({ type: 'ready' });
