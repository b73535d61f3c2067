export { SqliteLeaseStore, type SqliteLeaseStoreOptions } from './sqlite.store.js';
