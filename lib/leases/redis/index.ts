export { type IoredisClient } from './ioredis.js';
export { type NodeRedisClient } from './node-redis.js';
export { type RedisClient } from './redis-client.js';
export { RedisLeaseStore, type RedisLeaseStoreOptions } from './redis.store.js';
