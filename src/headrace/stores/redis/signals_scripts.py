"""What workers tell each other inside Redis, and whether anybody is there.

They stand on what :mod:`headrace.stores.redis.scripts` has in common, where the keys are told too.
"""

#: Signals that a worker takes at once.
MOST_TOLD = 1000

# ARGV: worker. Returns what it was told, the oldest first; it stays until the worker says that it has heard it.
TOLD = f"""
return call('LRANGE', P .. 'told:' .. ARGV[1], 0, {MOST_TOLD - 1})
"""

# ARGV: worker, what it has heard.
HEARD = """
for i = 2, #ARGV do call('LREM', P .. 'told:' .. ARGV[1], 1, ARGV[i]) end
return 0
"""

# ARGV: id. Told also to a worker whose lease has lapsed, as while Redis was away: it may come back before it is reaped.
CANCEL = """
local worker, outcome, gone = unpack(call('HMGET', meta(ARGV[1]), 'worker', 'outcome', 'gone'))
if worker and not outcome and not gone then tell(worker, 'stop' .. ARGV[1]) end
return 0
"""

# ARGV: id, worker, 1 where it has participants.
ATTEND = """
local key = P .. '{' .. ARGV[1] .. '}p'
if ARGV[3] == '1' then call('SADD', key, ARGV[2]); keep(key) else call('SREM', key, ARGV[2]) end
return 0
"""

# ARGV: id. Whether a living worker has participants on it.
PRESENT = """
for _, worker in ipairs(call('SMEMBERS', P .. '{' .. ARGV[1] .. '}p')) do
  if alive(worker) then return 1 end
end
return 0
"""
