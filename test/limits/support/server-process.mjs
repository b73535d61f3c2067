// A process with an application of its own (arguments: ../../support/child-process.mjs).
// Messages to it: { do: 'mint' | 'revoke' | 'resource' | 'usage', … }.
import { load, serve } from '../../support/child-process.mjs';

const { Download } = await load('index.js');
const BYTES = Buffer.alloc(20_000, 'limited');

/** Sends its first half, and waits for the client to leave. */
async function* half({ start, end, signal }) {
  yield BYTES.subarray(start, Math.min(end, BYTES.length / 2));
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

const contents = {
  held: () => Download.source({ length: BYTES.length, etag: 'held', open: half }),
  /** More than the sockets hold of a client that does not read. */
  missing: () => Download.file('/nowhere/a.txt'),
  large: () => Download.buffer(Buffer.alloc(50_000_000)),
};

const { FilesController, links, port } = await serve((name) => contents[name]?.() ?? Download.buffer(BYTES));

const actions = {
  mint: ({ name, options }) => links.create(FilesController, 'file', { params: { name }, ...options }),
  revoke: ({ target: { issuedBefore, ...target } }) =>
    links.revoke({ ...target, issuedBefore: issuedBefore && new Date(issuedBefore) }),
  resource: ({ name }) => links.resource(FilesController, 'file', { params: { name } }),
  usage: ({ id }) => links.usage(id),
};

process.on('message', (message) => {
  const answer = (outcome) => process.send({ type: 'answer', to: message.number, ...outcome });
  Promise.resolve()
    .then(() => actions[message.do](message))
    .then(
      (result) => answer({ result }),
      (error) => answer({ error: String(error) }),
    );
});
process.on('disconnect', () => process.exit());
process.send({ type: 'ready' });
process.send({ type: 'listening', port });
