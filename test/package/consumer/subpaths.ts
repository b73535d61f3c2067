/** The entries that need no optional package: each way of resolving modules has to find their types. */
export type { TokenRedactor } from 'nestjs-download-auth/opentelemetry';
export type { PostgresLeaseStore } from 'nestjs-download-auth/postgres';
export type { RedisLeaseStore } from 'nestjs-download-auth/redis';
export type { SqliteLeaseStore } from 'nestjs-download-auth/sqlite';
export type { LeaseStoreSuite } from 'nestjs-download-auth/testing';
