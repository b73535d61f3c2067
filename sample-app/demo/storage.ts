import type { LeaseStore } from 'nestjs-download-auth';
import { chmodSync, closeSync, openSync } from 'node:fs';
import type { LinkStore } from './links/link-store.js';

/** Where links are recorded and counted: in this process, or where other instances can see them. */
export type Storage =
  | { readonly kind: 'memory' }
  | { readonly kind: 'redis'; readonly url: string }
  | { readonly kind: 'postgres'; readonly url: string }
  | { readonly kind: 'sqlite'; readonly file: string };

/** The store in which the download package counts. The others are not loaded. */
export async function leaseStoreFor(storage: Storage): Promise<LeaseStore> {
  switch (storage.kind) {
    case 'redis': {
      const { RedisLeaseStore } = await import('nestjs-download-auth/redis');
      return new RedisLeaseStore({ url: storage.url });
    }
    case 'postgres': {
      const { PostgresLeaseStore } = await import('nestjs-download-auth/postgres');
      return new PostgresLeaseStore({ url: storage.url });
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

/** The application's own records of links, in the same place. */
export async function linkStoreFor(storage: Storage): Promise<LinkStore> {
  switch (storage.kind) {
    case 'redis': {
      const { RedisLinkStore } = await import('./links/redis.link-store.js');
      return new RedisLinkStore(storage.url);
    }
    case 'postgres': {
      const { PostgresLinkStore } = await import('./links/postgres.link-store.js');
      return new PostgresLinkStore(storage.url);
    }
    case 'sqlite': {
      const { SqliteLinkStore } = await import('./links/sqlite.link-store.js');
      keepPrivate(storage.file);
      return new SqliteLinkStore(storage.file);
    }
    case 'memory': {
      const { MemoryLinkStore } = await import('./links/memory.link-store.js');
      return new MemoryLinkStore();
    }
  }
}

/** Only the user who runs the application may read the file; SQLite gives its side files the same mode. */
function keepPrivate(file: string): void {
  try {
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
  } catch {
    // The store that opens the file next reports the error and says what to do.
  }
}
