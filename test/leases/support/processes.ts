import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { compiledLibrary } from '../../support/compiled-library.js';

const WORKER = fileURLToPath(new URL('./store-worker.mjs', import.meta.url));

/** What a worker is to open its store with. */
export type StoreDescription =
  { sqlite: { file: string } } | { redis: { url: string; prefix: string } } | { postgres: { url: string } };

/** @param script what the process runs: one that says `ready`, and does what it is told */
export async function startWorker(
  description: StoreDescription & Record<string, unknown>,
  script: string = WORKER,
): Promise<Worker> {
  const child = fork(script, [compiledLibrary(), JSON.stringify(description)], { execArgv: [] });
  const worker = new Worker(child);
  await worker.next('ready');
  return worker;
}

/** A process of its own with a store, which does as it is told (see store-worker.mjs). */
export class Worker {
  private readonly said: { type: string }[] = [];
  private heard?: () => void;

  constructor(private readonly child: ChildProcess) {
    child.on('message', (message) => {
      this.said.push(message as { type: string });
      this.heard?.();
    });
    child.on('exit', () => this.heard?.());
  }

  tell(message: object): void {
    this.child.send(message);
  }

  /** The next message of a type; rejects where the process ends without it. */
  async next<T = unknown>(type: string): Promise<T> {
    for (;;) {
      const at = this.said.findIndex((message) => message.type === type);
      if (at >= 0) {
        return this.said.splice(at, 1)[0] as T;
      }
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(
          `the worker ended (${this.child.exitCode ?? this.child.signalCode}) without: ${type}`,
        );
      }
      await new Promise<void>((resolve) => (this.heard = resolve));
    }
  }

  /** All messages of a type that have arrived. */
  all<T>(type: string): T[] {
    return this.said.filter((message) => message.type === type) as T[];
  }

  /** Ends the process, as `kill -9` does, and waits for it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill(signal);
      await ended;
    }
  }
}
