export { type IoredisClient, type NodeRedisClient, type RedisClient } from './redis-client.js';
export { RedisLeaseStore, type RedisLeaseStoreOptions } from './redis.store.js';
