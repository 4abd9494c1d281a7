"""What runs inside Redis: compare-and-append and where-are-you, with no rule of the domain in them.

Keys of a room share the hash tag `{room}`. KEYS[1] is the stream with ids `<seq>-0`, so a stream is read by
number alone and survives a change of epoch; KEYS[2] the hash with `epoch` and `run`, the identity of the
server that wrote last. ARGV[1] is the identity of the server that the caller is connected to. When it differs
from `run`, a failover or restart may have lost history, and the epoch grows.
"""

_HERE = """
local run = redis.call('HGET', KEYS[2], 'run')
local epoch = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '1')
local seq = 0
if run then
  local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if last then seq = tonumber(string.match(last[1], '^%d+')) end
  if run ~= ARGV[1] then
    epoch = epoch + 1
    redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch)
  end
end
"""

POSITION = _HERE + "return {epoch, seq}"
"""ARGV: run. Answers epoch and seq."""

APPEND = (
    _HERE
    + """
if epoch ~= tonumber(ARGV[2]) or seq ~= tonumber(ARGV[3]) then return {0, epoch, seq} end
if not run then redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch) end
local lengths = {}
local bodies = {}
for i = 5, #ARGV do
  redis.call('XADD', KEYS[1], (seq + i - 4) .. '-0', 'e', ARGV[i])
  lengths[#lengths + 1] = #ARGV[i]
  bodies[#bodies + 1] = ARGV[i]
end
local head = epoch .. ' ' .. (seq + 1) .. ' ' .. table.concat(lengths, ',') .. '\\n'
redis.call('PUBLISH', ARGV[4], head .. table.concat(bodies))
return {1, epoch, seq + #bodies}
"""
)
"""ARGV: run, seen epoch, seen seq, channel, entries… Answers 1 or 0 (taken), epoch and seq."""

REDACT = (
    _HERE
    + """
local fresh = {}
for i = 3, #ARGV, 2 do fresh[ARGV[i] .. '-0'] = ARGV[i + 1] end
local rows = redis.call('XRANGE', KEYS[1], '-', '+')
redis.call('DEL', KEYS[1], KEYS[3])
for _, row in ipairs(rows) do redis.call('XADD', KEYS[1], row[1], 'e', fresh[row[1]] or row[2][2]) end
epoch = epoch + 1
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch)
redis.call('PUBLISH', ARGV[2], epoch .. ' 0 \\n')
return {epoch, seq}
"""
)
"""KEYS[3]: snapshot. ARGV: run, channel, then seq and body by turns. A stream cannot change an entry, and
XDEL leaves its bytes in memory and in the append-only file, so the stream is written anew. Answers epoch and
seq."""

SAVE = """
local held = tonumber(redis.call('HGET', KEYS[1], 'seq') or '-1')
if tonumber(ARGV[1]) >= held then redis.call('HSET', KEYS[1], 'seq', ARGV[1], 'body', ARGV[2]) end
"""
"""KEYS[1]: snapshot. ARGV: seq, body."""

LEASE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""
"""KEYS[1]: leases. ARGV: seconds, names…; answers who is present. The server's clock is the only clock."""
