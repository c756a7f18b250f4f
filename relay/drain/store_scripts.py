"""The steps of the store, as Lua that Redis runs: each is one script, so that it happens as a whole or not at all.

Rules that every script keeps:

- Its first line is its name. It touches no key that it is not given. Those of a conversation are given in this order:
  lease, conversation, inbox, texts, due, thread, then those of single messages.
- It may be processed twice, since redis-py repeats a command whose reply was lost: the second time changes nothing and
  answers the same. It may also be processed late, after steps that its sender took later, if it sat in a connection that
  was given up: then it changes nothing, which the number that each step of a lease carries is for, see `_STEP`.
- It changes nothing for a token that does not hold the lease.
- Time is that of Redis. Reads come before writes.

A conversation's hash holds `epoch` and `token` of its newest lease, `step` (the number of that lease's latest step),
`freed` (the token that let the lease go last), `next` (messages accepted so far), and of what is intended or running
`request`, `run`, `run_at`; a `request` without a run or a batch was given up, and may come to be yet. The inbox is a
hash from message id to a line of eight words, see `_ENTRIES`; the texts are in a hash of their own, so that only one
script reads them; there, the name that is a message's id after a zero byte has when it was written, if the channel
tells. A message's own hash outlives its end, and is what recognises a redelivery. `due` orders the conversations whose
inbox is not empty by the millisecond in which their lease lapses.

Longer than 400 lines because the scripts share their rules, their keys and their pieces of Lua, and are reviewed together.
"""

from typing import Final

LOST: Final = -1
"""Reply: the token does not hold the lease."""
LATE: Final = -2
"""Reply: a later step of the same lease came first."""
HAS_ENDED: Final = -3
"""Reply: a message that was to be sent has ended already."""
FULL: Final = -4
"""Reply: a new message was not taken in, since its conversation's inbox is full."""

_NOW: Final = """
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

# ARGV[1] and ARGV[2] are token and epoch of the lease. The token alone would not do: a claim that comes late could give
# the same token a second lease, and with it power to what its first holder still believes.
_FENCE: Final = """
local lease = redis.call("HMGET", KEYS[2], "epoch", "step")
if redis.call("GET", KEYS[1]) ~= ARGV[1] or lease[1] ~= ARGV[2] then
    return -1
end
"""

# A step of a lease: ARGV[3] is its number, one that grows from step to step of the same lease.
_STEP: Final = (
    _FENCE
    + """
local step = tonumber(ARGV[3])
if step < tonumber(lease[2]) then
    return -2
end
"""
)

# Most steps are shortened when they come twice. Not only for speed: a message may have come in between.
_STEP_ONCE: Final = (
    _STEP
    + """
if step == tonumber(lease[2]) then
    redis.call("HSET", KEYS[2], "step", step) -- a write, without which WAIT on a new connection would confirm nothing
    return 1
end
"""
)

# An entry's words: state (P, R, S), appended (0, 1), epoch and outcome of its sending ("-" unless S), number, millisecond
# of its acceptance, creations intended with it, whether it is in the batch (0, 1).
_ENTRIES: Final = """
local STATE, APPENDED, EPOCH, OUTCOME, NUMBER, AT, ATTEMPTS, BATCH = 1, 2, 3, 4, 5, 6, 7, 8
local entries, changes = {}, {}
local stored = redis.call("HGETALL", KEYS[3])
for index = 1, #stored, 2 do
    local words = {}
    for word in string.gmatch(stored[index + 1], "%S+") do
        words[#words + 1] = word
    end
    entries[stored[index]] = words
end

local function named(first)
    local ids = {}
    for index = first, #ARGV do
        ids[ARGV[index]] = true
    end
    return ids
end

local function change(id)
    changes[#changes + 1] = id
    changes[#changes + 1] = table.concat(entries[id], " ")
end

local function store_changes()
    for first = 1, #changes, 1000 do  -- Lua passes some thousand arguments at most
        redis.call("HSET", KEYS[3], unpack(changes, first, math.min(first + 999, #changes)))
    end
end

local function leave_batch(words)
    words[BATCH] = "0"
    if words[STATE] == "R" then
        words[STATE] = "P"
    end
end
"""

# The lease is free: give it to ARGV[1] for ARGV[2] milliseconds.
_TAKE: Final = """
local function take(epoch)
    redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
    redis.call("HSET", KEYS[2], "epoch", epoch, "token", ARGV[1], "step", 0)
end
"""

# Arguments: token, milliseconds of the lease, conversation, message, text, thread or "", messages that an inbox holds,
# when it was written or "".
# A full inbox refuses before anything is written, so that a refusal leaves no trace, the redelivery is taken as the first
# delivery, and what is refused again and again costs no memory.
# A token has one lease in its life: an accept that comes late must not take a lease that nobody would use.
_ACCEPT: Final = (
    _NOW
    + _TAKE
    + """
local token, conversation, id, text, thread, written = ARGV[1], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[8]
local holder = redis.call("GET", KEYS[1])
local known = redis.call("HMGET", KEYS[7], "token", "outcome")
local is_known = known[1] or known[2]
local state = redis.call("HMGET", KEYS[2], "epoch", "token", "next")
local epoch = tonumber(state[1] or 0)
local waiting = redis.call("HLEN", KEYS[3])
if not is_known and waiting >= tonumber(ARGV[7]) then
    return -4
end
local is_waiting = not is_known or waiting > 0
local until_milliseconds = now + ARGV[2]
local has_lease = 0

if is_known then
    -- A write in any case, since WAIT waits for writes: replicas that confirm it confirm all that came before it.
    redis.call("HINCRBY", KEYS[7], "redeliveries", 1)
else
    local number = string.format("%.0f", (state[3] or 0) + 1)
    redis.call("HSET", KEYS[2], "next", number)
    redis.call("HSET", KEYS[3], id, "P 0 - - " .. number .. " " .. string.format("%.0f", now) .. " 0 0")
    redis.call("HSET", KEYS[4], id, text)
    if written ~= "" then
        redis.call("HSET", KEYS[4], "\\0" .. id, written)
    end
    redis.call("HSET", KEYS[7], "token", token)
end
if thread ~= "" then
    redis.call("SET", KEYS[6], thread, "NX")
end
if holder == token then
    has_lease = 1
    redis.call("PEXPIRE", KEYS[1], ARGV[2])
elseif holder then
    until_milliseconds = now + redis.call("PTTL", KEYS[1])
elseif is_waiting and state[2] ~= token and known[1] ~= token then
    has_lease = 1
    epoch = epoch + 1
    take(epoch)
end
if is_waiting and (holder or has_lease == 1) then
    redis.call("ZADD", KEYS[5], until_milliseconds, conversation)
elseif not is_known then
    redis.call("ZADD", KEYS[5], now, conversation)  -- its token has had its lease: whoever looks for what waits takes it
end
local is_first = 0
if not is_known or known[1] == token then
    is_first = 1
end
return {is_first, known[2] or "", has_lease, epoch}
"""
)

# Arguments: token, milliseconds of the lease, conversation. Reply: the epoch, or 0.
_CLAIM: Final = (
    _NOW
    + _TAKE
    + """
local holder = redis.call("GET", KEYS[1])
local state = redis.call("HMGET", KEYS[2], "epoch", "token")
local epoch = tonumber(state[1] or 0)
local is_waiting = redis.call("HLEN", KEYS[3]) > 0
if holder and holder ~= ARGV[1] then
    return 0
end
if not is_waiting then
    redis.call("ZREM", KEYS[5], ARGV[3])
end
if holder then
    redis.call("PEXPIRE", KEYS[1], ARGV[2])
elseif is_waiting and state[2] ~= ARGV[1] then
    epoch = epoch + 1
    take(epoch)
else
    return 0
end
if is_waiting then
    redis.call("ZADD", KEYS[5], now + ARGV[2], ARGV[3])
end
return epoch
"""
)

# Arguments: token, epoch, milliseconds of the lease, conversation.
_RENEW: Final = (
    _FENCE
    + _NOW
    + """
redis.call("PEXPIRE", KEYS[1], ARGV[3])
redis.call("ZADD", KEYS[5], "XX", now + ARGV[3], ARGV[4])
return 1
"""
)

# Arguments: token, epoch.
_INBOX: Final = (
    _FENCE
    + _NOW
    + """
local run = redis.call("HMGET", KEYS[2], "request", "run", "run_at")
return {
    string.format("%.0f", now), run[1] or "", run[2] or "", run[3] or "",
    redis.call("HGETALL", KEYS[3]), redis.call("HGETALL", KEYS[4]),
}
"""
)

# Arguments: token, epoch, step, thread. Reply: the conversation's thread from now on.
_SET_THREAD: Final = (
    _STEP
    + """
redis.call("HSET", KEYS[2], "step", step)
redis.call("SET", KEYS[6], ARGV[4], "NX")
return redis.call("GET", KEYS[6])
"""
)

# Arguments: token, epoch, step, thread so far, new thread. Reply: the conversation's thread from now on.
_REPLACE_THREAD: Final = (
    _STEP
    + """
local known = redis.call("GET", KEYS[6])
redis.call("HSET", KEYS[2], "step", step)
if known and known ~= ARGV[4] then
    return known
end
redis.call("SET", KEYS[6], ARGV[5])
return ARGV[5]
"""
)

# Arguments: token, epoch, step, "1" or "", request, messages. The same request may be intended again, as another step: by a
# caller who does not know whether the first was taken. With "1" the reply is 0, and nothing is written, if some of the
# messages are not in the inbox any more: a failover has lost what no replica had confirmed.
_INTEND: Final = (
    _STEP_ONCE
    + _ENTRIES
    + """
local is_new = redis.call("HGET", KEYS[2], "request") ~= ARGV[5]
local batch = named(6)
for id in pairs(batch) do
    if ARGV[4] == "1" and not entries[id] then
        return 0
    end
end
for id, words in pairs(entries) do
    if batch[id] then
        if is_new or words[BATCH] == "0" then
            words[ATTEMPTS] = string.format("%.0f", words[ATTEMPTS] + 1)
        end
        leave_batch(words)
        words[BATCH] = "1"
        change(id)
    elseif words[BATCH] == "1" then
        leave_batch(words)
        change(id)
    end
end
store_changes()
redis.call("HDEL", KEYS[2], "run", "run_at")
redis.call("HSET", KEYS[2], "request", ARGV[5], "step", step)
return 1
"""
)

# Arguments: token, epoch, step, request, run, whether its messages are in the thread ("0" or "1"), messages. A run of
# another request than was intended was found in its way: what was intended has created nothing, and does not count.
_STARTED: Final = (
    _STEP_ONCE
    + _NOW
    + _ENTRIES
    + """
local known = redis.call("HMGET", KEYS[2], "run", "run_at", "request")
local run_at = known[1] == ARGV[5] and known[2] or string.format("%.0f", now)
local is_another = not known[1] and known[3] and known[3] ~= ARGV[4]
local batch = named(7)
for id, words in pairs(entries) do
    if is_another and words[BATCH] == "1" then
        words[ATTEMPTS] = string.format("%.0f", words[ATTEMPTS] - 1)
    end
    if batch[id] then
        words[BATCH] = "1"
        if ARGV[6] == "1" then
            words[APPENDED] = "1"
        end
        if words[STATE] == "P" then
            words[STATE] = "R"
        end
        change(id)
    elseif words[BATCH] == "1" then
        leave_batch(words)
        change(id)
    end
end
store_changes()
redis.call("HSET", KEYS[2], "request", ARGV[4], "run", ARGV[5], "run_at", run_at, "step", step)
return 1
"""
)

# Arguments: token, epoch, step, whether the batch is in the thread ("0", "1", or "" for as before), creation in doubt or "".
_TAKE_OVER: Final = (
    _STEP_ONCE
    + _ENTRIES
    + """
for id, words in pairs(entries) do
    if words[BATCH] == "1" then
        leave_batch(words)
        if ARGV[4] ~= "" then
            words[APPENDED] = ARGV[4]
        end
        change(id)
    end
end
store_changes()
redis.call("HDEL", KEYS[2], "request", "run", "run_at")
if ARGV[5] ~= "" then
    redis.call("HSET", KEYS[2], "request", ARGV[5])
end
redis.call("HSET", KEYS[2], "step", step)
return 1
"""
)

# Arguments: token, epoch, step, outcome, messages. Keys from the seventh on: the messages' own.
_BEGIN_SEND: Final = (
    _STEP_ONCE
    + _ENTRIES
    + """
for index = 5, #ARGV do
    local id = ARGV[index]
    local words = entries[id]
    if words then
        words[STATE], words[EPOCH], words[OUTCOME] = "S", ARGV[2], ARGV[4]
        change(id)
    elseif redis.call("HGET", KEYS[index + 2], "outcome") then
        return -3
    end
end
store_changes()
redis.call("HSET", KEYS[2], "step", step)
return 1
"""
)

# Arguments: token, epoch, step, messages.
_NOT_SENT: Final = (
    _STEP_ONCE
    + _ENTRIES
    + """
local run = redis.call("HGET", KEYS[2], "run")
for index = 4, #ARGV do
    local words = entries[ARGV[index]]
    if words and words[STATE] == "S" and words[EPOCH] == ARGV[2] then
        words[STATE], words[EPOCH], words[OUTCOME] = "P", "-", "-"
        if run and words[BATCH] == "1" then
            words[STATE] = "R"
        end
        change(ARGV[index])
    end
end
store_changes()
redis.call("HSET", KEYS[2], "step", step)
return 1
"""
)

# Arguments: token, epoch, step, milliseconds of remembering, conversation, creation in doubt or "", then message and
# outcome in turn. Keys from the seventh on: the messages' own. An outcome is never overwritten; one is kept even of a
# message that the server has lost. What is in doubt stays noted until another creation is intended.
_END: Final = (
    _STEP_ONCE
    + _ENTRIES
    + """
local had_batch, has_batch, left, ended, gone = false, false, 0, {}, {}
for index = 7, #ARGV, 2 do
    local id, key = ARGV[index], KEYS[7 + (index - 7) / 2]
    if redis.call("HSETNX", key, "outcome", ARGV[index + 1]) == 1 then
        redis.call("PEXPIRE", key, ARGV[4])
    end
    ended[id] = true
    gone[#gone + 1] = id
end
for id, words in pairs(entries) do
    had_batch = had_batch or words[BATCH] == "1"
    if not ended[id] then
        left = left + 1
        has_batch = has_batch or words[BATCH] == "1"
    end
end
for first = 1, #gone, 1000 do
    local last = math.min(first + 999, #gone)
    redis.call("HDEL", KEYS[3], unpack(gone, first, last))
    redis.call("HDEL", KEYS[4], unpack(gone, first, last))
    for index = first, last do
        redis.call("HDEL", KEYS[4], "\\0" .. gone[index])
    end
end
if left == 0 then
    redis.call("ZREM", KEYS[5], ARGV[5])
end
if had_batch and not has_batch or left == 0 and redis.call("HEXISTS", KEYS[2], "run") == 1 then
    redis.call("HDEL", KEYS[2], "request", "run", "run_at")
    if ARGV[6] ~= "" then
        redis.call("HSET", KEYS[2], "request", ARGV[6])
    end
end
redis.call("HSET", KEYS[2], "step", step)
return 1
"""
)

_FREED: Final = """
if redis.call("HGET", KEYS[2], "freed") == ARGV[1] then
    return 1
end
"""

# Arguments: token, epoch, step. Reply: 1 if the lease is free now, 0 if messages are there.
_RELEASE: Final = (
    _FREED
    + _STEP
    + """
redis.call("HSET", KEYS[2], "step", step)
if redis.call("HLEN", KEYS[3]) > 0 then
    return 0
end
redis.call("HSET", KEYS[2], "freed", ARGV[1])
redis.call("DEL", KEYS[1])
return 1
"""
)

# Arguments: token, epoch, step, conversation.
_HAND_BACK: Final = (
    _FREED
    + _STEP
    + _NOW
    + """
redis.call("HSET", KEYS[2], "step", step, "freed", ARGV[1])
redis.call("ZADD", KEYS[5], "XX", now, ARGV[4])
redis.call("DEL", KEYS[1])
return 1
"""
)

# Key: due. Arguments: how many at most.
_DUE: Final = (
    _NOW
    + """
return redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", "(" .. string.format("%.0f", now), "LIMIT", 0, ARGV[1])
"""
)


def _script(name: str, body: str) -> str:
    return f"-- {name}\n{body.strip()}\n"


ACCEPT: Final = _script("accept", _ACCEPT)
CLAIM: Final = _script("claim", _CLAIM)
RENEW: Final = _script("renew", _RENEW)
INBOX: Final = _script("inbox", _INBOX)
SET_THREAD: Final = _script("set_thread", _SET_THREAD)
REPLACE_THREAD: Final = _script("replace_thread", _REPLACE_THREAD)
INTEND: Final = _script("intend", _INTEND)
STARTED: Final = _script("started", _STARTED)
TAKE_OVER: Final = _script("take_over", _TAKE_OVER)
BEGIN_SEND: Final = _script("begin_send", _BEGIN_SEND)
NOT_SENT: Final = _script("not_sent", _NOT_SENT)
END: Final = _script("end", _END)
RELEASE: Final = _script("release", _RELEASE)
HAND_BACK: Final = _script("hand_back", _HAND_BACK)
DUE: Final = _script("due", _DUE)
