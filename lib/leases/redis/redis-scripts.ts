import { createHash } from 'node:crypto';
import { MAX_INTERVALS } from '../interval-set.js';

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(...parts: string[]): Script {
  const text = parts.join('\n');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

// KEYS[1] is the link's record, ARGV[1] the request as JSON; ARGV[2] tells whose clock counts.
// The functions are those of lib/leases/lease.ts and interval-set.ts, which say why.
const STATE_MACHINE = `
local q = cjson.decode(ARGV[1])
local record = KEYS[1]
local now = q.now
if ARGV[2] == 'server' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function load(id)
  local text = id and redis.call('HGET', record, 'lease:' .. id)
  return text and cjson.decode(text) or nil
end

local function save(id, lease)
  redis.call('HSET', record, 'lease:' .. id, cjson.encode(lease))
  if redis.call('PTTL', record) < q.keep then
    redis.call('PEXPIRE', record, q.keep)
  end
end

local function used()
  return tonumber(redis.call('HGET', record, 'used') or '0')
end

local function is_open(lease, terms)
  return now < lease.openedAt + terms.life
    and now < lease.seenAt + terms.idle
    and (not lease.completedAt or now < lease.completedAt + terms.grace)
    and (not lease.budget or lease.charged < lease.budget)
    and (lease.length ~= nil or lease.served < terms.attempts)
end

local function joinable(id, client, terms)
  local lease = load(id)
  if lease and is_open(lease, terms) then
    return id, lease
  end
  id = client and redis.call('HGET', record, 'client:' .. client)
  lease = load(id)
  if lease and is_open(lease, terms) then
    return id, lease
  end
end

local function bytes_left(lease)
  return lease.budget and math.max(0, lease.budget - lease.charged) or nil
end

local function charge(lease, bytes)
  local granted = math.max(0, math.min(bytes, bytes_left(lease) or bytes))
  lease.charged = lease.charged + granted
  lease.running[q.request] = (lease.running[q.request] or 0) + granted
  return lease.running[q.request]
end

local function with_interval(set, from, to)
  if not (to > from) then
    return set
  end
  local before, after = {}, {}
  for i = 1, #set, 2 do
    local a, b = set[i], set[i + 1]
    if b < from then
      table.insert(before, a)
      table.insert(before, b)
    elseif a > to then
      table.insert(after, a)
      table.insert(after, b)
    else
      from = math.min(from, a)
      to = math.max(to, b)
    end
  end
  table.insert(before, from)
  table.insert(before, to)
  for _, edge in ipairs(after) do
    table.insert(before, edge)
  end
  while #before > ${2 * MAX_INTERVALS} do
    local shortest = 1
    for i = 3, #before, 2 do
      if before[i + 1] - before[i] < before[shortest + 1] - before[shortest] then
        shortest = i
      end
    end
    table.remove(before, shortest)
    table.remove(before, shortest)
  end
  return before
end

local function note(lease)
  if q.sent > 0 then
    lease.used = true
    lease.seenAt = math.max(lease.seenAt, now)
  end
  for i = 1, #q.covered, 2 do
    lease.covered = with_interval(lease.covered, q.covered[i], q.covered[i + 1])
  end
end
`;

const JOIN = `
local function join(lease)
  local granted = lease.running[q.request]
  if granted then
    return granted
  end
  if lease.version ~= q.version and not lease.completedAt then
    lease.version = q.version
    lease.length = q.length
    lease.covered = {}
    lease.unconfirmed = nil
  end
  local unconfirmed = lease.unconfirmed or {}
  for i = 1, #unconfirmed, 2 do
    if q.from and unconfirmed[i] < q.from and q.from <= unconfirmed[i + 1] then
      lease.covered = with_interval(lease.covered, unconfirmed[i], q.from)
    end
  end
  lease.seenAt = math.max(lease.seenAt, now)
  lease.served = lease.served + 1
  return charge(lease, q.bytes)
end

-- Leases that are over matter only as a number; a link used without limit would collect them.
local function prune()
  if redis.call('HLEN', record) < tonumber(redis.call('HGET', record, 'prune_at') or '256') then
    return
  end
  local fields = redis.call('HGETALL', record)
  local dropped = {}
  for i = 1, #fields, 2 do
    local id = string.match(fields[i], '^lease:(.*)$')
    local lease = id and cjson.decode(fields[i + 1])
    if lease and next(lease.running) == nil and not is_open(lease, q.terms) then
      dropped[id] = true
      redis.call('HDEL', record, fields[i])
    end
  end
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 7) == 'client:' and dropped[fields[i + 1]] then
      redis.call('HDEL', record, fields[i])
    end
  end
  redis.call('HSET', record, 'prune_at', 2 * redis.call('HLEN', record) + 256)
end
`;

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
