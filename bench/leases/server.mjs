// An application in a process of its own, with a file of 100 kB behind links (arguments:
// ../../test/support/child-process.mjs). Messages to it: { do: 'mint', count, options } and { do: 'cpu' }.
import { load, serve } from '../../test/support/child-process.mjs';

const { Download } = await load('index.js');
const bytes = Buffer.alloc(100_000, 'limited');
const { FilesController, links, port } = await serve(() => Download.buffer(bytes, { etag: 'v1' }));

const actions = {
  mint: ({ count, options }) =>
    Array.from(
      { length: count },
      () => links.create(FilesController, 'file', { params: { name: 'file' }, ...options }).url,
    ),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
};
process.on('message', (message) => process.send(actions[message.do](message)));
process.on('disconnect', () => process.exit());
process.send(port);
