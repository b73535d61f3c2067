/** How long a revocation stays in the log for those who ask what is new, ms. */
const LOG_KEPT = 10 * 60 * 1000;

/** Milliseconds since the epoch, by the clock of the server. */
const NOW = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
`;

/**
 * KEYS: the link; since when the server remembers, if in the same slot. ARGV: since when it should;
 * ms to keep the link; of each record: id, version that was read or '', [version, id, value] as JSON or ''.
 */
export const COMMIT = `
if KEYS[2] and redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
for i = 3, #ARGV, 3 do
  local known = redis.call('HGET', KEYS[1], ARGV[i]) or '[]'
  if string.match(known, '^%[([^,%]]*)') ~= ARGV[i + 1] then
    return 0
  end
end
for i = 3, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
`;

/** KEYS: the revocation, the log. ARGV: links issued before it, ms to keep it, as JSON. */
export const REVOKE = `${NOW}
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
local keep = math.max(ARGV[2], redis.call('PTTL', KEYS[1]))
if known < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], keep)
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or 0
redis.call('ZADD', KEYS[2], math.max(now, last + 1), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ${LOG_KEPT})
redis.call('PEXPIRE', KEYS[2], ${LOG_KEPT})
`;

/**
 * KEYS: since when the server remembers, the log. ARGV: since when it should if it does not, or '' for now;
 * the number of a revocation or '+inf'. Answers [now, since, last number, [later revocations as JSON…]].
 */
export const NEWS = `${NOW}
local since = redis.call('GET', KEYS[1])
if not since then
  since = ARGV[1] == '' and now or ARGV[1]
  redis.call('SET', KEYS[1], since)
end
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '0'
return { now, since, last, redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf') }
`;
