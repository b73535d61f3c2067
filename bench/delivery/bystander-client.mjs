/**
 * Asks for `/hello` every 5 ms over one connection, and tells how long each answer took from when it was due.
 */
import net from 'node:net';

const EVERY = 5;
const REQUEST = 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n';

process.on('message', async ({ port, milliseconds }) => {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const values = [];
  const start = performance.now();
  for (let due = start; due < start + milliseconds; due += EVERY) {
    const early = due - performance.now();
    if (early > 0) {
      await new Promise((resolve) => setTimeout(resolve, early));
    }
    // A timer that fires late is the client's own delay
    const from = early > 0 ? performance.now() : due;
    socket.write(REQUEST);
    const answer = await new Promise((resolve, reject) =>
      socket.once('data', resolve).once('close', () => reject(new Error('closed'))),
    );
    socket.removeAllListeners('close');
    if (!answer.includes('hello')) {
      throw new Error(answer.toString());
    }
    values.push(performance.now() - from);
  }
  socket.destroy();
  process.send(values);
});
process.on('disconnect', () => process.exit());
