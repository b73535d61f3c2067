import { createHash } from 'node:crypto';

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/*
 * KEYS[1] of READ and COMMIT is the hash of a link (docs/leases.md), in which each record is a field:
 * "version value", the value as JSON.
 */

/**
 * ARGV: the clock (`server` or `caller`), the ids of the records, or '*' for all.
 * Answers [now, id, record, …].
 */
export const READ = script(`
local answer = { '' }
if ARGV[1] == 'server' then
  local time = redis.call('TIME')
  answer[1] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
if ARGV[2] == '*' then
  for _, text in ipairs(redis.call('HGETALL', KEYS[1])) do
    table.insert(answer, text)
  end
  return answer
end
for i = 2, #ARGV do
  local record = redis.call('HGET', KEYS[1], ARGV[i])
  if record then
    table.insert(answer, ARGV[i])
    table.insert(answer, record)
  end
end
return answer
`);

/**
 * ARGV: milliseconds to keep the link; then of each record: id, version that was read ('' for none), version
 * and value ('' to remove it). Answers 1, or 0 if nothing was written.
 */
export const COMMIT = script(`
for i = 2, #ARGV, 3 do
  local was = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d*')
  if was ~= ARGV[i + 1] then
    return 0
  end
end
for i = 2, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 1
`);

/**
 * KEYS[1]: the revocation; ARGV: the moment, milliseconds to keep it, the channel, the message to publish.
 */
export const REVOKE = script(`
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = tonumber(ARGV[1]) > known and ARGV[1] or redis.call('GET', KEYS[1])
local keep = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], before, 'PX', keep)
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
`);

/** KEYS[1]: since when this server remembers; ARGV: the caller's moment, the clock. */
export const REMEMBER = script(`
local since = redis.call('GET', KEYS[1])
if not since then
  since = ARGV[1]
  if ARGV[2] == 'server' then
    local time = redis.call('TIME')
    since = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  end
  redis.call('SET', KEYS[1], since)
end
return since
`);
