import { chmodSync, closeSync, openSync } from 'node:fs';
import type { LeaseStore } from 'nestjs-download-auth';
import type { LinkLedger } from '../ledger/link-ledger.js';

/** Where links are kept and counted: in this process, or where further instances of the application look too. */
export type Storage =
  | { readonly kind: 'memory' }
  | { readonly kind: 'redis'; readonly url: string }
  | { readonly kind: 'sqlite'; readonly file: string };

/** The store in which the download package counts. What is not chosen is not even loaded. */
export async function leaseStoreFor(storage: Storage): Promise<LeaseStore> {
  switch (storage.kind) {
    case 'redis': {
      const { RedisLeaseStore } = await import('nestjs-download-auth/redis');
      return new RedisLeaseStore({ url: storage.url });
    }
    case 'sqlite': {
      const { SqliteLeaseStore } = await import('nestjs-download-auth/sqlite');
      keepPrivate(storage.file);
      return new SqliteLeaseStore({ file: storage.file });
    }
    case 'memory': {
      const { MemoryLeaseStore } = await import('nestjs-download-auth');
      return new MemoryLeaseStore();
    }
  }
}

/** The application's own list of links, in the same place. */
export async function ledgerFor(storage: Storage): Promise<LinkLedger> {
  switch (storage.kind) {
    case 'redis': {
      const { RedisLedger } = await import('../ledger/redis.ledger.js');
      return new RedisLedger(storage.url);
    }
    case 'sqlite': {
      const { SqliteLedger } = await import('../ledger/sqlite.ledger.js');
      keepPrivate(storage.file);
      return new SqliteLedger(storage.file);
    }
    case 'memory': {
      const { MemoryLedger } = await import('../ledger/memory.ledger.js');
      return new MemoryLedger();
    }
  }
}

/** Only the user who runs the application reads the file; SQLite gives the files that it puts beside it the same mode. */
function keepPrivate(file: string): void {
  try {
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
  } catch {
    // opening it says what is wrong, and what to do
  }
}
