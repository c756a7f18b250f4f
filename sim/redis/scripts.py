"""Lua scripts on the simulated server: compiled once, and without a trace in the next world.

fakeredis compiles a script anew at each call, collects all of Lua's garbage after it, and reads the names of all Lua
globals three times: four fifths of what a lock's release costs. Here a Lua runtime of the same interface stands where
fakeredis keeps its own. fakeredis' code runs unchanged above it, in both lanes, and its answers are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from fakeredis import FakeServer
from fakeredis.commands_mixins.scripting_mixin import LUA_MODULE

from relaysim.sim.redis import lua_msgpack

_COMPILED_MAX: Final = 256
"""Scripts kept compiled; a program that writes its scripts anew each time must not fill the memory."""

_HARMLESS: Final = re.compile(
    rb"""(?: \s | \d | --[^\[\n][^\n]* | "[^"\\\n]*" | '[^'\\\n]*' | == | ~= | <= | >= | [<>()\[\],.+*/#-]
      | \b(?:if|then|elseif|else|end|return|and|or|not|nil|true|false|redis|call|KEYS|ARGV|tonumber|tostring)\b )*+""",
    re.VERBOSE,
)
"""Scripts that cannot change anything but keys: no assignment, no definition, no other function. Most locks' are."""

_REACHES_GLOBALS: Final = re.compile(rb"_G|rawset|metatable|fenv|load|dofile|require|module|debug|package")
"""What a script must name to make a global in another way than by an assignment, or to undo what notes one."""

_SNAPSHOT: Final = """
function(note)
    local next, type, rawequal, rawset, getmetatable = next, type, rawequal, rawset, getmetatable
    local root, inside = _G, {}
    local ours = {KEYS = true, ARGV = true, _G = true}

    local function copy(of)
        local members, count = {}, 0
        for name, value in next, of do
            members[name] = value
            count = count + 1
        end
        return members, count
    end

    local function same(now, was, count)
        for name, value in next, now do
            if not rawequal(was[name], value) and not ours[name] then return false end
            count = count - 1
        end
        return count == 0
    end

    local before, names = copy(root)
    for name, value in next, root do
        if type(value) == "table" and not ours[name] then
            inside[value] = {copy(value)}
        end
    end

    local function has_new_globals()
        for name in next, root do
            if before[name] == nil then return true end
        end
        return false
    end

    local function noting(globals, name, value)
        note()
        rawset(globals, name, value)
    end
    local watch = {__newindex = noting}

    local function is_untouched()
        if getmetatable(root) ~= watch or watch.__newindex ~= noting or not same(root, before, names) then
            return false
        end
        for library, copied in next, inside do
            if not same(library, copied[1], copied[2]) then return false end
        end
        return true
    end

    setmetatable(root, watch)
    return has_new_globals, is_untouched, math.randomseed
end
"""


class _Globals:
    """What fakeredis asks of a table of globals: whether it holds others than those of the beginning."""

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[bytes]) -> None:
        self._names = names

    def keys(self) -> Iterable[bytes]:
        return self._names


_NO_NEW_GLOBALS: Final = _Globals(())


class ScriptRuntime:
    """A Lua runtime as fakeredis uses it."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        runtime.execute(lua_msgpack.SOURCE)
        self._compiled: dict[bytes, tuple[Any, bool, bool]] = {}
        self._changed = False  # a script has run that may have changed more than keys
        self._may_have_new_globals = False  # one has assigned to a name that was none, or may have made one otherwise
        self._has_new_globals: Any = None
        self._is_untouched: Any = None
        self._seed: Any = None
        self.eval = runtime.eval
        self.require = runtime.require
        self.table_from = runtime.table_from

    def execute(self, code: bytes | str) -> Any:
        """Run a script.

        Raises:
            LuaError: if the script does.
        """
        if type(code) is not bytes:  # fakeredis' own `collectgarbage()`; Lua collects by itself when it is time
            return None
        compiled = self._compiled.get(code)
        if compiled is None:
            compiled = self._compile(code)
        chunk, harmless, reaches_globals = compiled
        if not harmless:
            if self._seed is None:
                snapshot = self._runtime.eval(_SNAPSHOT)
                self._has_new_globals, self._is_untouched, self._seed = snapshot(self._note_new_global)
            self._changed = True
            self._may_have_new_globals |= reaches_globals
            # As Redis does, or math.random would go on where the last script, perhaps another world's, left it.
            self._seed(0)
        return chunk()

    def _note_new_global(self) -> None:
        self._may_have_new_globals = True

    def _compile(self, code: bytes) -> tuple[Any, bool, bool]:
        """A function that runs the script, whether it is harmless, and whether it can make globals unnoticed."""
        if b"setfenv" in code:  # could change the environment of the compiled script itself
            return partial(self._runtime.execute, code), False, True
        try:
            chunk = self._runtime.compile(code)
        except LUA_MODULE.LuaError:
            return partial(self._runtime.execute, code), False, True  # fails in the words that fakeredis passes on
        if len(self._compiled) >= _COMPILED_MAX:
            self._compiled.clear()
        is_harmless, reaches_globals = _HARMLESS.fullmatch(code) is not None, _REACHES_GLOBALS.search(code) is not None
        compiled = self._compiled[code] = chunk, is_harmless, reaches_globals
        return compiled

    def globals(self) -> Any:
        """All globals before the first script; after it, only whether there are new ones."""
        if self._seed is None and not self._compiled:
            return self._runtime.globals()
        if self._may_have_new_globals and self._has_new_globals():
            return self._runtime.globals()
        return _NO_NEW_GLOBALS

    def is_untouched(self) -> bool:
        """Whether all globals, and the libraries among them, are those of the beginning."""
        if self._changed:
            self._changed = not self._is_untouched()
        return not self._changed


class ScriptServer(FakeServer):
    """A fakeredis server whose Lua runtime is a `ScriptRuntime`.

    Attributes:
        confirmed: how many replicas the next WAIT is told of.
    """

    confirmed = 0

    @property
    def _lua_runtime(self) -> ScriptRuntime:
        try:
            runtime: ScriptRuntime = self.__dict__["script runtime"]
        except KeyError:
            raise AttributeError("_lua_runtime") from None
        return runtime

    @_lua_runtime.setter
    def _lua_runtime(self, runtime: Any) -> None:
        self.__dict__["script runtime"] = ScriptRuntime(runtime)

    @property
    def can_be_used_again(self) -> bool:
        """Whether no script has left anything in Lua's globals, where the next world's scripts would find it."""
        runtime: ScriptRuntime | None = self.__dict__.get("script runtime")
        return runtime is None or runtime.is_untouched()
