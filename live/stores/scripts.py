"""What runs inside Redis: compare-and-append and where-are-you, with no rule of the domain in them.

Keys of a room share the hash tag `{room}`. KEYS[1] is the stream with ids `<seq>-0`, so a stream is read by
number alone and survives a change of epoch; KEYS[2] the hash with `epoch`, `seq` and `run`, the identity of
the server that wrote last. ARGV[1] is the identity of the server that the caller is connected to. When it
differs from `run`, a failover or restart may have lost a part of the story, and another history begins
(`live.stores.port.EDITIONS`).
"""

from live.stores.port import EDITIONS

_HERE = f"""
local held = redis.call('HMGET', KEYS[2], 'run', 'epoch', 'seq')
local run = held[1]
local epoch = tonumber(held[2] or '1')
local seq = tonumber(held[3] or '0')
if run and run ~= ARGV[1] then
  epoch = (math.floor(epoch / {EDITIONS}) + 1) * {EDITIONS}
  redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch)
end
"""

POSITION = (
    _HERE
    + """
if run and ARGV[2] == '1' then redis.call('HSET', KEYS[2], 'epoch', epoch) end
return {epoch, seq}
"""
)
"""ARGV: run, whether to write something, so that `WAIT` on this connection has what to wait for. Answers
epoch and seq."""

APPEND = (
    _HERE
    + """
if epoch ~= tonumber(ARGV[2]) or seq ~= tonumber(ARGV[3]) then return {0, epoch, seq} end
local lengths = {}
local bodies = {}
for i = 5, #ARGV do
  redis.call('XADD', KEYS[1], (seq + i - 4) .. '-0', 'e', ARGV[i])
  lengths[#lengths + 1] = #ARGV[i]
  bodies[#bodies + 1] = ARGV[i]
end
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch, 'seq', seq + #bodies)
local head = epoch .. ' ' .. (seq + 1) .. ' ' .. table.concat(lengths, ',') .. '\\n'
redis.call('PUBLISH', ARGV[4], head .. table.concat(bodies))
return {1, epoch, seq + #bodies}
"""
)
"""ARGV: run, seen epoch, seen seq, channel, entries… Answers 1 or 0 (taken), epoch and seq."""

REDACT = (
    _HERE
    + """
if epoch ~= tonumber(ARGV[3]) or seq < tonumber(ARGV[5]) then return {0, epoch, seq} end
local fresh = {}
for i = 9, #ARGV, 2 do fresh[ARGV[i] .. '-0'] = ARGV[i + 1] end
if next(fresh) then
  local rows = redis.call('XRANGE', KEYS[1], '-', '+')
  redis.call('DEL', KEYS[1])
  for _, row in ipairs(rows) do redis.call('XADD', KEYS[1], row[1], 'e', fresh[row[1]] or row[2][2]) end
end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], 'seq', ARGV[5], 'body', ARGV[6])
if ARGV[7] == '1' then
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', tonumber(ARGV[5]) + 1))
end
epoch = tonumber(ARGV[4])
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', epoch, 'seq', seq)
redis.call('SET', KEYS[4], ARGV[8])
redis.call('PUBLISH', ARGV[2], epoch .. ' 0 \\n')
return {1, epoch, seq}
"""
)
"""KEYS[3]: snapshot; KEYS[4]: mark. ARGV: run, channel, seen epoch, next epoch, the snapshot's seq and body,
1 if only the snapshot is to be left, the mark's value, then seq and body by turns. A stream cannot change an
entry, and XDEL leaves its bytes in memory and in the append-only file, so the stream is written anew. The
mark says that the files have yet to be. Answers 1 or 0 (taken), epoch, seq."""

SAVE = """
local held = redis.call('HMGET', KEYS[2], 'epoch', 'seq')
if tonumber(held[1] or '1') ~= tonumber(ARGV[1]) then return end
if tonumber(held[2] or '0') < tonumber(ARGV[2]) then return end
if tonumber(ARGV[2]) >= tonumber(redis.call('HGET', KEYS[1], 'seq') or '-1') then
  redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'body', ARGV[3])
end
"""
"""KEYS: snapshot, meta. ARGV: epoch, seq, body."""

TRIM = """
local kept = tonumber(redis.call('HGET', KEYS[2], 'seq') or '0')
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', math.min(tonumber(ARGV[1]), kept) + 1))
"""
"""KEYS: log, snapshot. ARGV: the last seq that may go; never above the snapshot."""

RESTORE = """
redis.call('DEL', KEYS[1], KEYS[3])
for i = 6, #ARGV, 2 do redis.call('XADD', KEYS[1], ARGV[i] .. '-0', 'e', ARGV[i + 1]) end
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], 'seq', ARGV[4], 'body', ARGV[5]) end
redis.call('HSET', KEYS[2], 'run', ARGV[1], 'epoch', ARGV[2], 'seq', ARGV[3])
return {1}
"""
"""KEYS: log, meta, snapshot. ARGV: run, epoch, seq, the snapshot's seq (empty: none) and body, then seq and
body by turns."""

SWAP = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
"""KEYS[1]: a hash. ARGV: field, its value as it was seen, the new one. Answers 1 or 0 (it is another)."""

ERASE = """
if redis.call('DEL', unpack(KEYS, 2)) > 0 then redis.call('SET', KEYS[1], ARGV[1]) end
"""
"""KEYS: mark, then what is to be removed. ARGV: the mark's value."""

FORGET = "if redis.call('HDEL', KEYS[2], ARGV[2]) > 0 then redis.call('SET', KEYS[1], ARGV[1]) end"
"""KEYS: mark, hash. ARGV: the mark's value, the field to be removed."""

LEASE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), ARGV[i]) end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if #ARGV > 1 then redis.call('PEXPIRE', KEYS[1], math.ceil((tonumber(last) - now) * 1000)) end
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""
"""KEYS[1]: leases. ARGV: seconds, names…; answers who is present. The server's clock is the only clock."""

STAMP = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1e6 + tonumber(time[2])
now = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0') + 1))
redis.call('SET', KEYS[1], now, 'EX', 86400)
return now
"""
"""KEYS[1]: the last stamp. Rises even where a failover brings a clock that is behind."""

HOLD = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
"""KEYS[1]: what is held. ARGV: holder, milliseconds. Answers who holds it."""

LET_GO = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
"""KEYS[1]: what is held. ARGV: holder."""

ALL = (POSITION, APPEND, REDACT, SAVE, TRIM, RESTORE, SWAP, ERASE, FORGET, LEASE, STAMP, HOLD, LET_GO)
