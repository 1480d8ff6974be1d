"""What is done with topics inside Redis: each script is one step, all of it or nothing.

What it keeps, under the connection's prefix:

- ``topics``: a hash with the ``last`` id that was given away
- ``topic:<id>``: a hash; its ``lineage`` says which topics' records it reads before its own, farthest first
- ``records:<id>``: a Redis Stream; an entry holds some records, and its id is ``<number of the last>-<epoch>``
- ``topic-ids:<owner>``: a hash from paths to ids, and ``topic-paths:<owner>``: the paths of topics that are not gone
- ``topics-due``: the ids of topics that expire, by when

A script checks everything before it writes anything, since Redis takes nothing back. Where its memory is full it
refuses a script at the first write that needs more; after one that needs none all are allowed, so removals begin so.
Ids and epochs are of one count, which is milliseconds where it begins: an id is never given away twice, although Redis
may forget that it was, and a topic's records have no epoch before its id. Lua tells numbers below 2**53 apart.
"""

from headrace.stores.redis.connection import Script

#: Topics that one call drops because they are due.
MOST_DUE = 100

#: What is told of a topic, in this order, after its id.
HEAD_FIELDS = (
    "owner",
    "path",
    "type",
    "created",
    "ttl",
    "expires",
    "fork",
    "tail",
    "epoch",
    "closed",
    "size",
    "touched",
    "note",
    "gone",
    "depth",
)

_COMMON = (
    f"""
local P = table.remove(ARGV, 1)
local HEAD = {{{", ".join(f"'{field}'" for field in HEAD_FIELDS)}}}
"""
    """
local function topic(id) return P .. 'topic:' .. id end
local function log(id) return P .. 'records:' .. id end
local function of(id, ...) return unpack(redis.call('HMGET', topic(id), ...)) end
local function head(id) return id, of(id, unpack(HEAD)) end

local function fault(id)
  local path, gone = of(id, 'path', 'gone')
  if not path then return {'none'} end
  if gone == '1' then return {'gone'} end
end
local function store_epoch() return redis.call('HGET', P .. 'epoch', 'number') end
local function greater(one, other) return tonumber(one) > tonumber(other) and one or other end

local function put_off(id, touched, ttl)
  if ttl ~= '' then redis.call('ZADD', P .. 'topics-due', string.format('%.17g', touched + ttl), id) end
end
local function wake(id) redis.call('PUBLISH', P .. '{topic:' .. id .. '}', '') end

-- ARGV from `first` on: the last number of each entry, and its data.
local function add(id, epoch, token, first)
  for at = first, #ARGV, 2 do
    redis.call('XADD', log(id), ARGV[at] .. '-' .. epoch, 'data', ARGV[at + 1], 'by', at + 1 == #ARGV and token or '')
  end
end

-- The topics that one reads, farthest first, itself last, each with the number of the last record that counts.
local function sources(id)
  local tail, lineage = of(id, 'tail', 'lineage')
  local found = {}
  for source, last in string.gmatch(lineage, '(%d+):(%d+)') do found[#found + 1] = {source, tonumber(last)} end
  found[#found + 1] = {id, tonumber(tail)}
  return found
end
-- The epoch of record `number`.
local function place(list, number)
  for _, source in ipairs(list) do
    if number <= source[2] then
      local entry = redis.call('XRANGE', log(source[1]), number, '+', 'COUNT', 1)[1]
      return entry and string.match(entry[1], '%d+$')
    end
  end
end

-- Let go of what is gone and read by nobody; the topic that it alone read from is next.
local function release(id)
  local owner, path, gone, forks, source = of(id, 'owner', 'path', 'gone', 'forks', 'source')
  if gone ~= '1' or tonumber(forks) > 0 then return nil end
  redis.call('UNLINK', topic(id), log(id))
  local ids = P .. 'topic-ids:' .. owner
  if redis.call('HGET', ids, path) == id then redis.call('HDEL', ids, path) end
  if source == '' or redis.call('EXISTS', topic(source)) == 0 then return nil end
  redis.call('HINCRBY', topic(source), 'forks', -1)
  return source
end
local function drop(id)
  redis.call('ZREM', P .. 'topics-due', id)
  if fault(id) then return 0 end
  local owner, path = of(id, 'owner', 'path')
  redis.call('ZREM', P .. 'topic-paths:' .. owner, path)
  redis.call('HSET', topic(id), 'gone', '1')
  wake(id)
  while id do id = release(id) end
  return 1
end
"""
)

# Takes owner, path, type, created, ttl, expires, due, fork, source, inherited, tail, size, closed, note, token, and
# entries.
CREATE = Script(
    _COMMON
    + """
local owner, path, kind, created, ttl, expires, due, fork, source, inherited, tail, size, closed, note, token =
  unpack(ARGV, 1, 15)
local ids = P .. 'topic-ids:' .. owner
local found = redis.call('HGET', ids, path)
if found and redis.call('EXISTS', topic(found)) == 1 then
  return {of(found, 'born') == token and 'yes' or 'no', head(found)}
end

local lineage, epoch = {}, '0'
if source ~= '' then
  if fault(source) then return {'gone'} end
  local list, number, least = sources(source), tonumber(inherited), 0
  if number > list[#list][2] then return {'ahead'} end
  for _, each in ipairs(list) do
    local last = math.min(each[2], number)
    if last > least then
      lineage[#lineage + 1] = each[1] .. ':' .. string.format('%.0f', last)
      least = last
    end
  end
  epoch = number == 0 and '0' or place(list, number)
  if not epoch then return {'lost'} end
end

local current = store_epoch()
if not current then return {'flushed'} end
local last = redis.call('HGET', P .. 'topics', 'last') or 0
local id = string.format('%.0f', math.max(last + 1, current))
redis.call('HSET', P .. 'topics', 'last', id)
if #ARGV > 15 then
  epoch = greater(id, current)
  add(id, epoch, token, 16)
end
redis.call('HSET', topic(id), 'owner', owner, 'path', path, 'type', kind, 'created', created, 'ttl', ttl,
  'expires', expires, 'fork', fork, 'tail', tail, 'epoch', epoch, 'closed', closed, 'size', size, 'touched', created,
  'note', note, 'gone', '', 'depth', #lineage, 'lineage', table.concat(lineage, ' '), 'source', source, 'forks', 0,
  'born', token, 'by', token)
if source ~= '' then redis.call('HINCRBY', topic(source), 'forks', 1) end
redis.call('HSET', ids, path, id)
redis.call('ZADD', P .. 'topic-paths:' .. owner, 0, path)
if due ~= '' then redis.call('ZADD', P .. 'topics-due', due, id) end
return {'yes', head(id)}
"""
)

# Takes id, expected tail, new tail, size, closed, note, now, token, entries. What has the token was made before.
APPEND = Script(
    _COMMON
    + """
local id, expected, last, size, closed, note, now, token = unpack(ARGV, 1, 8)
local wrong = fault(id)
if wrong then return wrong end
local tail, was_closed, by, ttl, epoch = of(id, 'tail', 'closed', 'by', 'ttl', 'epoch')
if by == token then return {'yes', head(id)} end
if was_closed == '1' or tail ~= expected then
  local entry = #ARGV > 8 and redis.call('XRANGE', log(id), last, last, 'COUNT', 1)[1]
  return {entry and entry[2][4] == token and 'yes' or 'no', head(id)}
end
if #ARGV > 8 then
  local current = store_epoch()
  if not current then return {'flushed'} end
  epoch = greater(id, current)
  add(id, epoch, token, 9)
end
redis.call('HSET', topic(id), 'tail', last, 'epoch', epoch, 'closed', closed, 'note', note, 'touched', now, 'by', token)
redis.call('HINCRBY', topic(id), 'size', size)
put_off(id, now, ttl)
if #ARGV > 8 or closed == '1' then wake(id) end
return {'yes', head(id)}
"""
)

# Takes id, number and epoch of the place, bytes. Tells tail and closed, then of each entry its topic's last record that
# counts, its id and its data.
READ = Script(
    _COMMON
    + """
local id, number, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local wrong = fault(id)
if wrong then return wrong end
local tail, epoch, closed = of(id, 'tail', 'epoch', 'closed')
if number > tonumber(tail) then return {'ahead'} end
local list = sources(id)
local known = number == 0 and '0' or ARGV[2] == tail and epoch or place(list, number)
if not known then return {'lost'} end
if known ~= ARGV[3] then return {'ahead'} end

local found, size, at = {'yes', tail, closed}, 0, number + 1
for _, source in ipairs(list) do
  while at <= source[2] and size < room do
    local part = redis.call('XRANGE', log(source[1]), at, '+', 'COUNT', 8)
    if #part == 0 then return {'lost'} end
    for _, entry in ipairs(part) do
      if at > source[2] or size >= room then break end
      found[#found + 1] = source[2]
      found[#found + 1] = entry[1]
      found[#found + 1] = entry[2][2]
      size = size + #entry[2][2]
      at = math.min(tonumber(string.match(entry[1], '^%d+')), source[2]) + 1
    end
  end
end
return found
"""
)

# Takes owner and path.
HEAD = Script(
    _COMMON
    + """
local id = redis.call('HGET', P .. 'topic-ids:' .. ARGV[1], ARGV[2])
if not id or redis.call('EXISTS', topic(id)) == 0 then return {} end
return {head(id)}
"""
)

# Takes owner, the path after which they come, and how many.
LIST = Script(
    _COMMON
    + """
local from = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local found = {}
for _, path in ipairs(redis.call('ZRANGEBYLEX', P .. 'topic-paths:' .. ARGV[1], from, '+', 'LIMIT', 0, ARGV[3])) do
  local id = redis.call('HGET', P .. 'topic-ids:' .. ARGV[1], path)
  if id and redis.call('EXISTS', topic(id)) == 1 then found[#found + 1] = {head(id)} end
end
return found
"""
)

# Takes owner.
COUNT = Script(_COMMON + "return redis.call('HLEN', P .. 'topic-ids:' .. ARGV[1])")

# Takes id and now.
TOUCH = Script(
    _COMMON
    + """
local touched, ttl, gone = of(ARGV[1], 'touched', 'ttl', 'gone')
if touched and tonumber(touched) < tonumber(ARGV[2]) then
  if ttl ~= '' then redis.call('ZREM', P .. 'topics-due', ARGV[1]) end
  redis.call('HSET', topic(ARGV[1]), 'touched', ARGV[2])
  if gone ~= '1' then put_off(ARGV[1], ARGV[2], ttl) end
end
"""
)

# Takes id.
DROP = Script(_COMMON + "return drop(ARGV[1])")

# Takes now. Tells how many were due, and how many of them were there.
EXPIRE = Script(
    _COMMON
    + f"""
local due = redis.call('ZRANGEBYSCORE', P .. 'topics-due', '-inf', ARGV[1], 'LIMIT', 0, {MOST_DUE})
local dropped = 0
for _, id in ipairs(due) do dropped = dropped + drop(id) end
return {{#due, dropped}}
"""
)
