export { type IoredisClient } from './ioredis.driver.js';
export { type NodeRedisClient } from './node-redis.driver.js';
export { type RedisClient } from './redis-client.js';
export { RedisLeaseStore, type RedisLeaseStoreOptions } from './redis.store.js';
