export { type PostgresPool } from './postgres-connection.js';
export { PostgresLeaseStore, type PostgresLeaseStoreOptions } from './postgres.store.js';
export { schema } from './schema.js';
