import { createHash } from 'node:crypto';
import { LEASES_OF_KEY } from '../lease-store.js';

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/*
 * KEYS[1] of READ, COMMIT and LIST is the hash of a link (docs/leases.md):
 *   link      "version used count first next"
 *   l:ID      "version seq until keys state": keys separated by commas, state as JSON
 *   k:KEY     "ID ID …", the latest first
 *   q:SEQ     ID, in the order in which leases were added
 */

/** Reads the link's own record; without one, its counts are zero. */
const LINK = `
local record = KEYS[1]
local link = redis.call('HGET', record, 'link')
local version, used, count, first, next_seq = string.match(link or '', '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
count, first, next_seq = tonumber(count or 0), tonumber(first or 1), tonumber(next_seq or 1)
`;

/**
 * ARGV: the clock (`server` or `caller`), how many ids follow, ids, keys. Answers [now, link, id, lease, …].
 */
export const READ = script(`${LINK}
local now = ''
if ARGV[1] == 'server' then
  local time = redis.call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
local answer = { now, link and (version .. ' ' .. used) or '' }
local seen = {}
local function add(id)
  local lease = not seen[id] and redis.call('HGET', record, 'l:' .. id)
  if lease then
    seen[id] = true
    table.insert(answer, id)
    table.insert(answer, lease)
  end
end
local ids = tonumber(ARGV[2])
for i = 3 + ids, #ARGV do
  for id in string.gmatch(redis.call('HGET', record, 'k:' .. ARGV[i]) or '', '%S+') do
    add(id)
  end
end
for i = 3, 2 + ids do
  add(ARGV[i])
end
return answer
`);

/** Fields of each change in the arguments of {@link COMMIT}. */
export const CHANGE_FIELDS = 6;

/**
 * ARGV: milliseconds to keep the link, now, enough, most, the link's version that was read ('' for none, '-'
 * if it does not matter), its new version, its new count of uses; then of each lease: id, version that was
 * read ('' for none), new version, until, keys, state ('' to remove it). Answers 1, or 0 if nothing was
 * written.
 */
export const COMMIT = script(`${LINK}
local keep, now, enough, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[5] ~= '-' and ARGV[5] ~= (version or '') then
  return 0
end
local seqs = {}
for i = 8, #ARGV, ${CHANGE_FIELDS} do
  local was, seq = string.match(redis.call('HGET', record, 'l:' .. ARGV[i]) or '', '^(%S+) (%S+)')
  if (was or '') ~= ARGV[i + 1] then
    return 0
  end
  seqs[i] = seq
end

local function each_key(keys, change)
  for key in string.gmatch(keys, '[^,]+') do
    local field, ids = 'k:' .. key, {}
    for id in string.gmatch(redis.call('HGET', record, field) or '', '%S+') do
      table.insert(ids, id)
    end
    ids = change(ids)
    if #ids > 0 then
      redis.call('HSET', record, field, table.concat(ids, ' '))
    else
      redis.call('HDEL', record, field)
    end
  end
end

local function drop(id, seq, keys)
  each_key(keys, function (ids)
    local others = {}
    for _, other in ipairs(ids) do
      if other ~= id then
        table.insert(others, other)
      end
    end
    return others
  end)
  redis.call('HDEL', record, 'l:' .. id, 'q:' .. seq)
  count = count - 1
end

-- A few at a time, since the server answers nobody else while a script runs
local function forget_oldest()
  for _ = 1, 8 do
    local id = first < next_seq and redis.call('HGET', record, 'q:' .. first)
    if first >= next_seq or (id and count <= enough and count < most) then
      return
    end
    if id then
      local ends, keys = string.match(redis.call('HGET', record, 'l:' .. id), '^%S+ %S+ (%S+) (%S*)')
      if count < most and tonumber(ends) > now then
        return
      end
      drop(id, first, keys)
    end
    first = first + 1
  end
end

for i = 8, #ARGV, ${CHANGE_FIELDS} do
  local id, was, new, ends, keys, state = unpack(ARGV, i, i + ${CHANGE_FIELDS - 1})
  if state == '' then
    drop(id, seqs[i], keys)
  else
    local seq = seqs[i]
    if was == '' then
      forget_oldest()
      seq = next_seq
      next_seq = next_seq + 1
      count = count + 1
      redis.call('HSET', record, 'q:' .. seq, id)
      each_key(keys, function (ids)
        table.insert(ids, 1, id)
        ids[${LEASES_OF_KEY + 1}] = nil
        return ids
      end)
    end
    redis.call('HSET', record, 'l:' .. id, table.concat({ new, seq, ends, keys, state }, ' '))
  end
end
if ARGV[5] ~= '-' then
  if ARGV[7] == '0' and count == 0 then
    redis.call('DEL', record)
    return 1
  end
  redis.call('HSET', record, 'link', table.concat({ ARGV[6], ARGV[7], count, first, next_seq }, ' '))
end
if redis.call('PTTL', record) < keep then
  redis.call('PEXPIRE', record, keep)
end
return 1
`);

/** ARGV: how many, before which number ('' for the latest). Answers [used, next or '', lease, lease, …]. */
export const LIST = script(`${LINK}
local answer = { used or '0', '' }
local seq = (tonumber(ARGV[2]) or next_seq) - 1
local last = math.max(first, seq - 1000 - tonumber(ARGV[1]))
while seq >= last and #answer - 2 < tonumber(ARGV[1]) do
  local id = redis.call('HGET', record, 'q:' .. seq)
  if id then
    table.insert(answer, redis.call('HGET', record, 'l:' .. id))
  end
  seq = seq - 1
end
if seq >= first then
  answer[2] = tostring(seq + 1)
end
return answer
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
