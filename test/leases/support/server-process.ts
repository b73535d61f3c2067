import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

/** Resolves when a server has said that it is ready. */
export function untilReady(server: ChildProcess, output: Readable, ready: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    output.on('data', (chunk) => {
      said += String(chunk);
      if (ready.test(said)) {
        resolve();
      }
    });
    server.once('exit', () => reject(new Error(`${server.spawnfile} did not start:\n${said}`)));
  });
}

/** Sends a signal to a server that runs, and waits for its end. */
export async function ended(server: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (server && server.exitCode === null && server.signalCode === null) {
    const end = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await end;
  }
}
