import { MAX_INTERVALS } from '../interval-set.js';

/**
 * The state machine of a lease in Lua. KEYS[1] is the link's record, ARGV[1] the request as JSON; ARGV[2] tells whose
 * clock counts. The functions are those of lib/leases/lease.ts and interval-set.ts, which say why.
 */
export const STATE_MACHINE = `
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

/** Joining, and making room for a lease that is opened; needs {@link STATE_MACHINE} before it. */
export const JOIN = `
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
