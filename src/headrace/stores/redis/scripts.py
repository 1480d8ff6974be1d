"""What is done with streams inside Redis: each script is one step, all of it or nothing.

What it keeps, under the connection's prefix. The keys of one stream share a hash tag:

- ``{<id>}m``: a hash, the stream without its records; ``{<id>}l``: its log, a Redis Stream
- ``{<id>}n``: the keys of its names, and ``{<id>}p``: the workers that have participants on it
- ``n:<owner>:<kind>:<name>``: a hash, who holds a name; ``o:<owner>``: the owner's streams by their creation
- ``w:<worker>``: a worker's lease, which lapses; ``workers``: all that have something left to be closed or recorded
- ``open:<worker>``, ``unrecorded:<worker>``: its streams that are open, and that SQL does not have yet
- ``told:<worker>``: signals to it
- ``open``: all open streams by their creation
- ``due:frames``, ``due:stored``, ``due:gone``: what ages, by when it ended

An entry's id is ``<number of its last record>-1``; its blob tells the first one, the writer and a checksum. Every key
lapses by itself long after its last use, should nobody live who would remove it. A script checks everything before it
writes anything, since Redis takes nothing back; where its memory is full it refuses a script at its first write.
"""

from headrace.stores.redis import signals_scripts as signals
from headrace.stores.redis.connection import Script

#: Streams that one call lets go of because they are old.
MOST_AGED = 100

_COMMON = """
local P = table.remove(ARGV, 1)
local call = redis.call
local function meta(id) return P .. '{' .. id .. '}m' end
local function log(id) return P .. '{' .. id .. '}l' end
local function names(id) return P .. '{' .. id .. '}n' end
local function alive(worker) return call('EXISTS', P .. 'w:' .. worker) == 1 end
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function keep(...) for _, key in ipairs({...}) do call('EXPIRE', key, KEEP) end end
local function wake(id) call('PUBLISH', P .. '{' .. id .. '}', '') end

local function name_key(owner, kind, name) return P .. 'n:' .. #owner .. ':' .. owner .. ':' .. kind .. ':' .. name end
local function bind(owner, id, given)
  for _, name in ipairs(given) do
    local key = name_key(owner, name[1], name[2])
    local holder = call('HGET', key, 'id')
    if not (holder and name[4]) then
      if holder then call('SREM', names(holder), key) end
      call('HSET', key, 'id', id, 'print', name[3])
      call('SADD', names(id), key)
      keep(key, names(id))
    end
  end
end
local function free(owner, id, given)
  for _, name in ipairs(given) do
    local key = name_key(owner, name[1], name[2])
    if call('HGET', key, 'id') == id then call('DEL', key); call('SREM', names(id), key) end
  end
end
local function tell(worker, signal)
  call('RPUSH', P .. 'told:' .. worker, signal)
  keep(P .. 'told:' .. worker)
  call('PUBLISH', P .. 'told:' .. worker, '')
end
local function close(id, worker, outcome, ended, stored, closer, serial)
  call('HSET', meta(id), 'outcome', outcome, 'ended', ended, 'stored', stored, 'closing', serial)
  call('SREM', P .. 'open:' .. worker, id)
  call('ZREM', P .. 'open', id)
  call('ZADD', P .. 'unrecorded:' .. closer, ended, id)
  keep(P .. 'unrecorded:' .. closer, meta(id), log(id))
end
local function head(id)
  local found = call('HMGET', meta(id), 'meta', 'format', 'tail', 'outcome', 'size', 'gone')
  if not found[1] then return false end
  return {id, found[1], found[2] or '', found[3], found[4] or '', found[5], found[6] or ''}
end
local function heads(ids)
  local told = {}
  for _, id in ipairs(ids) do
    local found = head(id)
    if found then told[#told + 1] = found end
  end
  return told
end
local function bury(id, reason, at)
  local owner, worker, created, gone = unpack(call('HMGET', meta(id), 'owner', 'worker', 'created', 'gone'))
  if not owner or gone then return 0 end
  call('DEL', log(id), meta(id), P .. '{' .. id .. '}p', unpack(call('SMEMBERS', names(id))))
  call('DEL', names(id))
  call('SREM', P .. 'open:' .. worker, id)
  call('ZREM', P .. 'open', id)
  local left = cmsgpack.pack({owner = owner, dialect = '', created = tonumber(created)})
  call('HSET', meta(id), 'owner', owner, 'worker', worker, 'created', created, 'meta', left, 'tail', 0, 'size', 0,
    'gone', reason)
  call('ZADD', P .. 'due:gone', at, id)
  keep(meta(id), P .. 'due:gone')
  wake(id)
  if alive(worker) then tell(worker, 'look' .. id) end
  return 1
end
"""


# ARGV: id, owner, created, meta, worker, names of {kind, name, fingerprint, first come}. Returns the holder and its
# fingerprint. Asked again by the same worker, as after a time-out, it tells the same.
_CREATE = """
local id, owner, created, blob, worker = unpack(ARGV, 1, 5)
local given, print = cmsgpack.unpack(ARGV[6]), ''
for i = #given, 1, -1 do if given[i][4] then print = given[i][3] end end
local mine = call('HGET', meta(id), 'worker')
if mine == worker then return {id, print} end
if mine then return {} end
for _, name in ipairs(given) do
  local holder = name[4] and call('HMGET', name_key(owner, name[1], name[2]), 'id', 'print')
  if holder and holder[1] then return holder end
end
call('HSET', meta(id), 'owner', owner, 'created', created, 'meta', blob, 'worker', worker, 'tail', 0, 'size', 0)
-- Where Redis has lost the rest of a stream, its records may be left: it would refuse the same numbers again.
call('DEL', log(id))
call('SADD', P .. 'open:' .. worker, id)
call('ZADD', P .. 'open', created, id)
call('ZADD', P .. 'o:' .. owner, created, id)
-- Forgotten by Redis, as its lease may be: nobody is taken for dead until all had the time to renew theirs.
if call('SADD', P .. 'workers', worker) == 1 then
  call('HSET', P .. 'epoch', 'since', string.format('%d', now()))
end
keep(meta(id), P .. 'open:' .. worker, P .. 'open', P .. 'o:' .. owner, P .. 'workers')
bind(owner, id, given)
return {id, print}
"""

# ARGV: the worker, the epoch that it knows, and for each append of a group: id, expected tail, how many records, their
# size, their blob, and what is rare: nothing, or the outcome behind its length, and {ended, stored, format, freed,
# names, the append's serial} (MessagePack as Redis reads it has no binary strings). Returns what was not done, four
# values each: place in the group, verdict, tail, outcome. An append that is there already, as after a time-out, is
# done: it has the same blob (so the same writer, range and serial) at the same place, or the same serial at the end.
_APPEND = """
local worker, epoch = ARGV[1], ARGV[2]
if call('HGET', P .. 'epoch', 'number') ~= epoch then return 'epoch' end
local refused = {}
local function refuse(at, verdict, tail, outcome)
  local n = #refused
  refused[n + 1], refused[n + 2], refused[n + 3], refused[n + 4] = at, verdict, tail or 0, outcome or ''
end
local function is_there(id, last, count, blob, wanted, serial)
  if wanted ~= '' and call('HGET', meta(id), 'closing') ~= serial then return false end
  if count == 0 then return wanted ~= '' end
  local found = call('XRANGE', log(id), last .. '-1', last .. '-1')
  return #found == 1 and found[1][2][2] == blob
end
local function append(at, id, expected, count, size, blob, rare)
  local key = meta(id)
  local owner, writer, tail, had, outcome, gone = unpack(
    call('HMGET', key, 'owner', 'worker', 'tail', 'size', 'outcome', 'gone'))
  if not owner then return refuse(at, 'none') end
  if gone then return refuse(at, 'gone') end
  local more, wanted = false, ''
  if rare ~= '' then
    local length = struct.unpack('>I4', rare)
    wanted = string.sub(rare, 5, 4 + length)
    more = cmsgpack.unpack(string.sub(rare, 5 + length))
  end
  local last = string.format('%d', expected + count)
  if outcome or tail ~= expected then
    if writer == worker and is_there(id, last, count, blob, wanted, more and more[6]) then return end
    return refuse(at, 'no', tail, outcome)
  end
  if writer ~= worker then return refuse(at, 'stale') end
  if count > 0 then
    -- Without NOMKSTREAM a log that was lost would begin anew in its middle.
    if tail == '0' then
      call('XADD', log(id), last .. '-1', 'b', blob)
      keep(log(id))
    elseif not call('XADD', log(id), 'NOMKSTREAM', last .. '-1', 'b', blob) then
      return refuse(at, 'lost', tail)
    end
    call('HSET', key, 'tail', last, 'size', string.format('%d', had + size))
  end
  if more then
    if more[3] ~= '' then call('HSETNX', key, 'format', more[3]) end
    if wanted ~= '' then close(id, worker, wanted, more[1], more[2], worker, more[6]) end
    free(owner, id, more[4])
    bind(owner, id, more[5])
  end
  wake(id)
end
for i = 3, #ARGV, 6 do
  append((i - 3) / 6, ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5])
end
return refused
"""

# ARGV: id, after, about how many bytes. Returns how the stream stands and its entries from the first above ``after``.
_READ = """
local id, after, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local tail, outcome, gone = unpack(call('HMGET', meta(id), 'tail', 'outcome', 'gone'))
if not tail then return 'none' end
if gone then return 'gone' end
local told = {tonumber(tail), outcome or ''}
local low = after + 1
while low <= tonumber(tail) and room > 0 do
  local part = call('XRANGE', log(id), string.format('%d-0', low), '+', 'COUNT', 32)
  if #part == 0 then break end
  for _, entry in ipairs(part) do
    told[#told + 1] = entry[2][2]
    room = room - #entry[2][2]
    if room <= 0 then break end
  end
  low = tonumber(string.match(part[#part][1], '^%d+')) + 1
end
return told
"""

# ARGV: owner, name, kinds. Returns id and fingerprint.
_RESOLVE = """
for i = 3, #ARGV do
  local found = call('HMGET', name_key(ARGV[1], ARGV[i], ARGV[2]), 'id', 'print')
  if found[1] then return found end
end
return {}
"""

# ARGV: owner, the id before which to begin or '', how many. Tombstones keep their place in the order.
_LIST = """
local key, limit, at, told = P .. 'o:' .. ARGV[1], tonumber(ARGV[3]), 0, {}
if ARGV[2] ~= '' then
  local rank = call('ZREVRANK', key, ARGV[2])
  if not rank then return {} end
  at = rank + 1
end
while #told < limit do
  local ids = call('ZREVRANGE', key, at, at + limit - 1)
  if #ids == 0 then break end
  for _, id in ipairs(ids) do
    local found = head(id)
    if not found then call('ZREM', key, id) else
      at = at + 1
      if found[7] == '' and #told < limit then told[#told + 1] = found end
    end
  end
end
return told
"""

# ARGV: how many.
_OPEN = """
local ids = call('ZREVRANGE', P .. 'open', 0, tonumber(ARGV[1]) - 1)
for _, id in ipairs(ids) do if call('EXISTS', meta(id)) == 0 then call('ZREM', P .. 'open', id) end end
return heads(ids)
"""

# ARGV: id, worker. As if it had never been: nobody was told of it.
_ERASE = """
local owner, worker, tail = unpack(call('HMGET', meta(ARGV[1]), 'owner', 'worker', 'tail'))
if worker ~= ARGV[2] or tail ~= '0' then return 0 end
bury(ARGV[1], 'erased', 0)
call('DEL', meta(ARGV[1]))
call('ZREM', P .. 'due:gone', ARGV[1])
call('ZREM', P .. 'o:' .. owner, ARGV[1])
return 1
"""

# ARGV: worker, lease in ms. A living worker whose lease is gone is a proof that leases could not be renewed, or that
# the server's clock has jumped: nobody is taken for dead then until all had the time to renew theirs.
_BEAT = """
local key = P .. 'w:' .. ARGV[1]
if call('SISMEMBER', P .. 'workers', ARGV[1]) == 1 and call('EXISTS', key) == 0 then
  call('HSET', P .. 'epoch', 'since', string.format('%d', now()))
end
call('SET', key, 1, 'PX', ARGV[2])
call('SADD', P .. 'workers', ARGV[1])
keep(P .. 'workers', P .. 'open:' .. ARGV[1], P .. 'unrecorded:' .. ARGV[1])
return call('HGET', P .. 'epoch', 'number')
"""

# ARGV: worker, lease in ms. Returns the open streams of the dead, after each one's worker; none where the caller's own
# lease is gone. A dead one with nothing open is removed; what is not recorded of it is the caller's from now on.
_DEAD = """
local since = tonumber(call('HGET', P .. 'epoch', 'since') or 0)
if since > now() or not alive(ARGV[1]) then call('HSET', P .. 'epoch', 'since', string.format('%d', now())) end
if not alive(ARGV[1]) or now() - since < tonumber(ARGV[2]) then return {} end
local told = {}
for _, worker in ipairs(call('SMEMBERS', P .. 'workers')) do
  if not alive(worker) then
    local open = call('SRANDMEMBER', P .. 'open:' .. worker, 1000)
    for _, id in ipairs(open) do told[#told + 1] = worker; told[#told + 1] = id end
    if #open == 0 then
      local theirs, mine = P .. 'unrecorded:' .. worker, P .. 'unrecorded:' .. ARGV[1]
      if call('EXISTS', theirs) == 1 then call('ZUNIONSTORE', mine, 2, mine, theirs, 'AGGREGATE', 'MIN'); keep(mine) end
      call('DEL', theirs, P .. 'told:' .. worker, P .. 'open:' .. worker)
      call('SREM', P .. 'workers', worker)
    end
  end
end
return told
"""

# ARGV: id, the dead worker, outcome, ended, stored, who closes it. Closes what is still open and still the dead one's.
_CLOSE = """
local id, dead = ARGV[1], ARGV[2]
local worker, outcome, gone = unpack(call('HMGET', meta(id), 'worker', 'outcome', 'gone'))
if alive(dead) then return 0 end
if worker ~= dead or outcome or gone then
  call('SREM', P .. 'open:' .. dead, id)
  return 0
end
close(id, dead, ARGV[3], ARGV[4], ARGV[5], ARGV[6], '')
tell(dead, 'look' .. id)
wake(id)
return 1
"""

# ARGV: worker, how many.
_UNRECORDED = """
local key, told = P .. 'unrecorded:' .. ARGV[1], {}
for _, id in ipairs(call('ZRANGE', key, 0, tonumber(ARGV[2]) - 1)) do
  local found = head(id)
  if found and found[7] == '' then told[#told + 1] = found else call('ZREM', key, id) end
end
return told
"""

# ARGV: worker, ids.
_MARK = """
for i = 2, #ARGV do
  if call('ZREM', P .. 'unrecorded:' .. ARGV[1], ARGV[i]) == 1 then
    local ended, stored, gone = unpack(call('HMGET', meta(ARGV[i]), 'ended', 'stored', 'gone'))
    local key = P .. (stored == '1' and 'due:stored' or 'due:frames')
    if ended and not gone then call('ZADD', key, ended, ARGV[i]); keep(key) end
  end
end
return 0
"""

# ARGV: now, and the last moments of an end whose frames, stored frames and tombstones are let go of.
_EXPIRE = f"""
local count = 0
for i, key in ipairs({{P .. 'due:frames', P .. 'due:stored'}}) do
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', ARGV[1 + i], 'LIMIT', 0, {MOST_AGED})) do
    call('ZREM', key, id)
    count = count + bury(id, 'expired', ARGV[1])
  end
end
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'due:gone', '-inf', ARGV[4], 'LIMIT', 0, {MOST_AGED})) do
  local owner = call('HGET', meta(id), 'owner')
  call('DEL', meta(id))
  call('ZREM', P .. 'due:gone', id)
  if owner then call('ZREM', P .. 'o:' .. owner, id) end
  count = count + 1
end
return count
"""


class Scripts:
    """All of them, for keys that lapse ``keep`` seconds after their last use."""

    def __init__(self, keep: int) -> None:
        common = _COMMON.replace("KEEP", str(keep))
        self.create = Script(common + _CREATE)
        self.append = Script(common + _APPEND)
        self.read = Script(common + _READ)
        self.heads = Script(common + "return heads(ARGV)")
        self.resolve = Script(common + _RESOLVE)
        self.list = Script(common + _LIST)
        self.open = Script(common + _OPEN)
        self.drop = Script(common + "return bury(ARGV[1], ARGV[2], ARGV[3])")  # id, reason, now
        self.erase = Script(common + _ERASE)
        self.beat = Script(common + _BEAT)
        self.dead = Script(common + _DEAD)
        self.close = Script(common + _CLOSE)
        self.told = Script(common + signals.TOLD)
        self.heard = Script(common + signals.HEARD)
        self.cancel = Script(common + signals.CANCEL)
        self.attend = Script(common + signals.ATTEND)
        self.present = Script(common + signals.PRESENT)
        self.unrecorded = Script(common + _UNRECORDED)
        self.mark = Script(common + _MARK)
        self.expire = Script(common + _EXPIRE)
