import { createHash } from 'node:crypto';
import { JOIN, STATE_MACHINE } from './redis-state-machine.js';

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(...parts: string[]): Script {
  const text = parts.join('\n');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** Answers an `AcquireAnswer` as JSON. */
export const ACQUIRE = script(
  STATE_MACHINE,
  JOIN,
  `
local function answer(kind, id, granted, left)
  return cjson.encode({ kind = kind, lease = id, granted = granted, left = left, used = used() })
end

local repeated = load(q.lease)
local id, lease
if repeated then
  id, lease = q.lease, repeated
else
  id, lease = joinable(q.presented, q.client, q.terms)
end
if lease and (not q.sameVersion or lease.version == q.version) then
  local granted = join(lease)
  save(id, lease)
  return answer(repeated and 'opened' or 'joined', id, granted, bytes_left(lease))
end
if not q.mayOpen then
  return cjson.encode({ kind = 'closed' })
end
if q.maxDownloads and used() >= q.maxDownloads then
  return cjson.encode({ kind = 'used-up' })
end
prune()
lease = {
  client = q.client, openedAt = now, seenAt = now, version = q.version, length = q.length,
  budget = q.budget, charged = 0, served = 0, used = false, covered = {}, running = {},
}
if q.client then
  -- Should this lease be given back, the client's earlier one is its latest again.
  lease.previous = redis.call('HGET', record, 'client:' .. q.client) or nil
  redis.call('HSET', record, 'client:' .. q.client, q.lease)
end
local granted = join(lease)
redis.call('HINCRBY', record, 'used', 1)
save(q.lease, lease)
return answer('opened', q.lease, granted, bytes_left(lease))
`,
);

/** Answers an `ExtendAnswer` as JSON. */
export const EXTEND = script(
  STATE_MACHINE,
  `
local lease = load(q.lease)
local granted = lease and lease.running[q.request]
if not granted then
  return cjson.encode({ found = false, granted = 0 })
end
note(lease)
if now < lease.openedAt + q.terms.life then
  granted = charge(lease, q.total - granted)
end
save(q.lease, lease)
return cjson.encode({ found = true, granted = granted, left = bytes_left(lease) })
`,
);

/** Answers a `ReleaseAnswer` as JSON. */
export const RELEASE = script(
  STATE_MACHINE,
  `
local lease = load(q.lease)
local granted = lease and lease.running[q.request]
if not granted then
  return cjson.encode({ found = false, completed = false, givenBack = false })
end
note(lease)
local unconfirmed = q.unconfirmed or {}
for i = 1, #unconfirmed, 2 do
  lease.unconfirmed = with_interval(lease.unconfirmed or {}, unconfirmed[i], unconfirmed[i + 1])
end
lease.charged = lease.charged + q.sent - granted
lease.running[q.request] = nil
local whole = q.whole
if lease.length then
  whole = #lease.covered >= 2 and lease.covered[1] <= 0 and lease.covered[2] >= lease.length
end
local completed = whole and not lease.completedAt
if completed then
  lease.completedAt = now
  lease.covered = lease.length and { 0, lease.length } or {}
end
local given_back = not lease.used and next(lease.running) == nil
save(q.lease, lease)
if given_back then
  redis.call('HDEL', record, 'lease:' .. q.lease)
  local field = lease.client and 'client:' .. lease.client
  if field and redis.call('HGET', record, field) == q.lease then
    if lease.previous then
      redis.call('HSET', record, field, lease.previous)
    else
      redis.call('HDEL', record, field)
    end
  end
  if redis.call('HINCRBY', record, 'used', -1) <= 0 then
    redis.call('DEL', record)
  end
end
return cjson.encode({ found = true, completed = completed, givenBack = given_back })
`,
);

/** Answers `{ used, joinable }` as JSON, and changes nothing. */
export const INSPECT = script(
  STATE_MACHINE,
  `
local id = joinable(q.lease, q.client, q.terms)
return cjson.encode({ used = used(), joinable = id ~= nil })
`,
);

/** KEYS[1]: the revocation; ARGV: the moment, milliseconds to keep it, the channel, what to say there. */
export const REVOKE = script(`
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = tonumber(ARGV[1]) > known and ARGV[1] or redis.call('GET', KEYS[1])
local keep = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], before, 'PX', keep)
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
`);

/** KEYS[1]: since when this server remembers; ARGV: the caller's moment, whose clock counts. */
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
