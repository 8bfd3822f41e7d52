# Owned by the template: an update rewrites this file.
"""What `RedisSessions` runs in Redis. Each script is atomic, and the clock is the server's."""

from .calls import Script

# Milliseconds throughout.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# Sessions and devices leave room for counts: a server that is full takes no write at all.
_IS_FILLED = """
local function is_filled(part)
    local memory = redis.pcall('INFO', 'memory')
    if type(memory) ~= 'string' then
        return false
    end
    local most = tonumber(string.match(memory, 'maxmemory:(%d+)') or 0)
    return most > 0 and tonumber(string.match(memory, 'used_memory:(%d+)') or 0) > part * most
end
"""


def _timed(text: str) -> Script:
    """A script that knows what time it is."""
    return Script(_NOW + text)


def _repeatable(text: str) -> Script:
    """One that may also run twice where once was asked for."""
    return Script(_NOW + text, is_repeatable=True)


# KEYS: session, sessions of the account, end of all of them, session to end. Returns how long after the last end of all
# the sign-in began; -1 if it was before, -2 if there is no place.
CREATE = _timed(
    _IS_FILLED
    + """
local id, account, data, idle, lifetime, age, capacity, prefix = unpack(ARGV)
local ended = redis.call('GET', KEYS[3])
if ended and tonumber(ended) >= now - age then
    return -1
end
local freed = KEYS[4] and redis.call('DEL', KEYS[4]) or 0
local alive = {}
for _, each in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if redis.call('EXISTS', prefix .. each) == 1 then
        alive[#alive + 1] = each
    else
        redis.call('ZREM', KEYS[2], each)
    end
end
if is_filled(0.9) then
    capacity = math.min(#alive + freed, capacity)
    if capacity == 0 then
        return -2
    end
end
for i = 1, #alive - capacity + 1 do
    redis.call('DEL', prefix .. alive[i])
    redis.call('ZREM', KEYS[2], alive[i])
end
redis.call('HSET', KEYS[1], 'account', account, 'began', math.min(now, now - age), 'created', now,
    'ends', now + lifetime, 'version', 0, 'data', data)
redis.call('PEXPIRE', KEYS[1], math.min(idle, lifetime))
redis.call('ZADD', KEYS[2], time[1] * 1000000 + time[2], id)
redis.call('PEXPIRE', KEYS[2], lifetime)
return ended and now - age - ended or 2 ^ 40
"""
)
READ = _repeatable("""
local found = redis.call('HMGET', KEYS[1], 'created', 'version', 'data', 'ends')
if not found[4] then
    return false
end
local left = found[4] - now
if left <= 0 then
    redis.call('DEL', KEYS[1])
    return false
end
redis.call('PEXPIRE', KEYS[1], math.min(ARGV[1], left))
return {found[1], found[2], found[3]}
""")
CHANGE = Script("""
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'data', ARGV[2])
return 1
""")
MOVE = Script("""
local account = redis.call('HGET', KEYS[1], 'account')
if not account then
    return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
local own = ARGV[3] .. account
redis.call('ZADD', own, redis.call('ZSCORE', own, ARGV[1]) or 0, ARGV[2])
redis.call('ZREM', own, ARGV[1])
return 1
""")
END = Script("""
local account = redis.call('HGET', KEYS[1], 'account')
if account then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', ARGV[2] .. account, ARGV[1])
end
return account
""")
# KEYS: sessions of the account, end of all of them. It may be carried out late: a sign-in that began since it was asked
# for keeps its session. One that began later than now is of a clock that was set back. Sessions of 0.3.0 do not say
# when their sign-in began.
END_ALL = _timed("""
local prefix, remembered, age = unpack(ARGV)
local asked, number = now - age, 0
for _, each in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local found = redis.call('HMGET', prefix .. each, 'began', 'created')
    local began = tonumber(found[1] or found[2] or 0)
    if began <= asked or began > now then
        number = number + redis.call('DEL', prefix .. each)
        redis.call('ZREM', KEYS[1], each)
    end
end
local ended = tonumber(redis.call('GET', KEYS[2]) or 0)
if ended < asked or ended > now then
    redis.call('SET', KEYS[2], asked, 'PX', remembered)
end
return number
""")
WHOSE = _repeatable("""
local found = redis.call('HMGET', KEYS[1], 'account', 'began', 'created')
return found[1] and {found[1], now - (found[2] or found[3])}
""")
KNOWS = _repeatable("""
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
return ends and tonumber(ends) > now and 1 or 0
""")
# KEYS: devices of the account, all accounts that have some, by when the last of them ends.
REMEMBER = _timed(
    _IS_FILLED
    + """
local device, lifetime, devices, accounts = unpack(ARGV)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZREM', KEYS[2], KEYS[1])
local is_full = redis.call('ZCARD', KEYS[2]) >= tonumber(accounts)
for i, each in ipairs(redis.call('ZPOPMIN', KEYS[2], is_filled(0.75) and 2 or is_full and 1 or 0)) do
    if i % 2 == 1 then
        redis.call('DEL', each)
    end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + lifetime, device)
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - devices)
redis.call('PEXPIRE', KEYS[1], lifetime)
redis.call('ZADD', KEYS[2], now + lifetime, KEYS[1])
redis.call('PEXPIRE', KEYS[2], math.max(lifetime, redis.call('PTTL', KEYS[2])))
return 1
"""
)
