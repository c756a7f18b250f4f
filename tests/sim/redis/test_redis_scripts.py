"""Lua scripts: compiled once they answer as fakeredis' own runtime does, and nothing of them reaches another world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fakeredis import FakeServer

from relaysim.sim.redis import link
from relaysim.sim.redis.link import CommandSocket
from relaysim.sim.redis.scripts import _HARMLESS, ScriptServer

RELEASE = b"""
if redis.call("GET", KEYS[1]) == ARGV[1] then
    return redis.call("DEL", KEYS[1])
end
return 0
"""

SCRIPTS = (
    b"return 1",
    b"return {1, 'two', {3}, false, 4}",
    b"return {ok='fine'}",
    b"return {err='no'}",
    b"return KEYS[1] .. ARGV[1]",
    b"return redis.call('SET', KEYS[1], ARGV[1])",
    b"return redis.call('GET', KEYS[1])",
    b"return redis.pcall('NO-SUCH')",
    b"return redis.call('LPUSH', KEYS[1], 1)",
    b"local n = 0 for i = 1, 10 do n = n + i end return n",
    b"return nil + 1",
    b"error('broken')",
    b"this is no Lua",
    b"return redis.sha1hex",
    b"leaked = 1 return leaked",
    b"return 2",
    b"setfenv(1, {}) return 3",
    RELEASE,
    RELEASE,
)


#: Answers otherwise where any of the scripts below has left something.
_LEFTOVERS = b"""
return {type(leaked), type(redis.answer), string.upper('a'), tostring(tonumber('7')), type(redis.call), #redis, type(error)}
"""


@pytest.fixture
def servers() -> Iterator[list[ScriptServer]]:
    """The list of servers that wait for their next world, empty for the time of a test."""
    kept, link._idle_servers[:] = link._idle_servers[:], []
    yield link._idle_servers
    link._idle_servers[:] = kept


def answers(server: FakeServer, scripts: tuple[bytes, ...] = SCRIPTS) -> list[str]:
    socket = CommandSocket(server)
    replies = [socket.execute([b"EVAL", script, b"1", b"key", b"value"]) for script in scripts]
    return [f"{type(reply).__name__} {reply}" for reply in replies]


def test_every_script_answers_as_on_the_librarys_own_runtime() -> None:
    assert answers(ScriptServer()) == answers(FakeServer())


def test_a_script_answers_the_same_each_time() -> None:
    clean = tuple(script for script in SCRIPTS if b"leaked" not in script)
    server = ScriptServer()
    assert answers(server, clean) == answers(server, clean)


def test_evalsha_runs_the_script_that_was_loaded() -> None:
    socket = CommandSocket(ScriptServer())
    sha = socket.execute([b"SCRIPT", b"LOAD", RELEASE])
    socket.execute([b"SET", b"key", b"token"])
    assert socket.execute([b"EVALSHA", sha, b"1", b"key", b"token"]) == 1
    assert socket.execute([b"EVALSHA", sha, b"1", b"key", b"token"]) == 0


def test_a_harmless_script_cannot_hide_a_global_that_another_left() -> None:
    """The library refuses a script that leaves a global, and up to 2.40 every later one; so does this one, in a world."""
    after = (b"leaked = 1 return 1", b"return 1", RELEASE)
    assert answers(ScriptServer(), after) == answers(FakeServer(), after)
    assert "leaked" in answers(ScriptServer(), after)[0]


@pytest.mark.parametrize(
    "script",
    [
        b"leaked = 1",
        b"local function leak() leaked = 1 end leak()",
        b"leaked, also = 1, 2",
        b"function leaked() end",
        b"pcall(function() leaked = 1 error('after it') end)",
        b"coroutine.wrap(function() leaked = 1 end)()",
        b"_G.leaked = 1",
        b"_G['lea' .. 'ked'] = 1",
        b"rawset(_G, 'leaked', 1)",
        b"loadstring('leaked = 1')()",
        b"loadstring('raw' .. 'set(_' .. 'G, \\'leaked\\', 1)')()",
        b"local all = getfenv(1) all['raw' .. 'set'](all, 'leaked', 1)",
        b"setmetatable(_G, nil) leaked = 1",
        b"getmetatable(_G).__newindex = nil leaked = 1",
        b"local all = package['lo' .. 'aded']['_' .. 'G'] all['raw' .. 'set'](all, 'leaked', 1)",
        b"local all = require('_' .. 'G') all['raw' .. 'set'](all, 'leaked', 1)",
        b"local all = debug.getregistry()['_LO' .. 'ADED']['_' .. 'G'] all['raw' .. 'set'](all, 'leaked', 1)",
    ],
)
def test_a_new_global_is_noticed_however_it_was_made(script: bytes) -> None:
    """Before the next command, at the script's end and by the script after it, as by the library's own runtime."""
    before = b"local a = {} a[1] = redis.call('SET', KEYS[1], 1) return a"
    after = (before, script + b" return redis.call('GET', KEYS[1])", before, script, RELEASE)
    if b"getmetatable(_G)" in script:  # nothing watches the library's own
        assert "leaked" in answers(ScriptServer(), after)[1]
        return
    assert answers(ScriptServer(), after) == answers(FakeServer(), after)
    assert "leaked" in answers(ScriptServer(), after)[1]


@pytest.mark.parametrize(
    "script",
    [
        b"leaked = 1",
        b"setmetatable(_G, {__index = function() return 1 end})",
        b"getmetatable(_G).__newindex = nil",
        b"redis.answer = 42",
        b"string.upper = string.lower",
        b"function tonumber() return 1 end",
        b"redis.call = nil",
        b"rawset(_G, 'leaked', 1)",
        b"table.insert(redis, 1)",
        b"error = nil",
    ],
)
def test_a_server_in_which_a_script_left_something_is_not_used_again(
    script: bytes, servers: list[ScriptServer], make_link: Any
) -> None:
    for code in (RELEASE, b"local a = 1 return a", script):
        one = make_link()
        one.direct_socket().execute([b"EVAL", code, b"1", b"key", b"value"])
        servers.clear()
        one.close()
        if code == script:
            # From 2.41 on the library itself takes away new globals; such a server is as good as new.
            assert [answers(each, (_LEFTOVERS,)) for each in servers] in ([], [answers(ScriptServer(), (_LEFTOVERS,))])
        else:
            assert len(servers) == 1, code


@pytest.fixture
def make_link() -> Any:
    from relaysim.sim.kernel import Kernel
    from relaysim.sim.redis import RedisLink

    return lambda: RedisLink(Kernel(), lambda u: 0.001)


def test_random_numbers_of_a_script_do_not_depend_on_the_scripts_before() -> None:
    draw = b"return tostring(math.random())"
    server = ScriptServer()
    assert answers(server, (draw, draw))[0] == answers(server, (draw,))[0] == answers(ScriptServer(), (draw,))[0]


@pytest.mark.parametrize("script", [RELEASE, b"return redis.call('GET', KEYS[1]) -- x = 1", b"return '= function'"])
def test_scripts_that_can_only_change_keys_are_recognised(script: bytes) -> None:
    assert _HARMLESS.fullmatch(script)


@pytest.mark.parametrize(
    "script",
    [
        b"a = 1",
        b"return redis.pcall('GET', KEYS[1])",
        b"return _G",
        b"--[[ ]] a = 1",
        b"--[==[\n]==] a = 1 --",
        b"return ('x'):rep(3)",
        b"return function() end",
        b"return redis.call('GET', KEYS[1]) == 1 and load('x')",
        b"return '\\' a = 1 --'",
        b"return math.random()",
    ],
)
def test_others_are_not(script: bytes) -> None:
    assert not _HARMLESS.fullmatch(script)
