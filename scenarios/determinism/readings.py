"""What code of the user's reads that is no part of its world: real clocks, entropy, orders of sets, addresses, files.

A `Watch` listens to every call and every line of the user's files, in one process, while worlds that it is told of run.
That makes a world many times slower and changes nothing in it. It sees what Python code calls; what a C extension reads by
itself it does not see.

Whose code is it: a file is the user's unless it belongs to Python, to an installed package or to this project. What a
library reads for the user is noted at the user's line; where there is none, at the library's own.
"""

from __future__ import annotations

import _thread
import ast
import asyncio
import builtins
import datetime
import importlib
import os
import random
import re
import socket
import ssl
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, Literal, NamedTuple

import relaysim
from relaysim.scenarios.determinism.set_orders import UNKNOWN, places, set_met
from relaysim.sim.kernel import current_host, fence

Kind = Literal["clock", "entropy", "hash", "address", "file", "environment", "process", "thread"]

READINGS_MAX: Final = 5_000
"""Of one world; what comes later is not noted."""

_LABEL_MAX, _ELEMENTS_MAX = 40, 20


class Reading(NamedTuple):
    """One reading.

    kind      of what
    what      what was called or iterated over, as people write it
    value     what came out, "" where that cannot be seen
    file, line, function  where, in the user's code or else the library's
    users     whether that place is the user's
    time_seconds  when, in virtual seconds; None outside of any world: while a module was imported
    entity    on which worker, "" for none
    """

    kind: Kind
    what: str
    value: str
    file: str
    line: int
    function: str
    users: bool
    time_seconds: float | None
    entity: str


_CLOCKS: Final = ("monotonic", "perf_counter", "process_time", "thread_time")
_TIMES_OF_DAY: Final = ("time", "time_ns", "gmtime", "localtime", "strftime", "ctime", "asctime")
_OF_DATES: Final = (
    ("datetime.now", datetime.datetime.now),
    ("datetime.utcnow", datetime.datetime.utcnow),
    ("datetime.today", datetime.datetime.today),
    ("date.today", datetime.date.today),
)
_VIRTUAL_INSIDE: Final = frozenset({*(f"time.{name}" for name in _TIMES_OF_DAY), *(name for name, _ in _OF_DATES)})
"""What the fence makes virtual wherever it is kept."""


def _key(function: Any) -> tuple[int, str]:
    """What a function in C is known by: whose it is, and its name. The virtual clocks change its address."""
    return id(getattr(function, "__self__", None)), function.__name__


def _suspects() -> dict[tuple[int, str], tuple[Kind, str]]:
    """Functions in C that read what is no part of a world."""
    found: dict[Any, tuple[Kind, str]] = {}
    for name in _CLOCKS:
        for form in (name, f"{name}_ns"):
            found[getattr(time, form)] = "clock", f"time.{form}"
    for name in (*_TIMES_OF_DAY, "clock_gettime", "clock_gettime_ns"):
        if hasattr(time, name):
            found[getattr(time, name)] = "clock", f"time.{name}"
    for name, function in _OF_DATES:
        found[function] = "clock", name
    found[os.times] = "clock", "os.times"
    with suppress(ImportError):
        resource = importlib.import_module("resource")  # not on each system
        found[resource.getrusage] = "clock", "resource.getrusage"
    found[os.urandom] = "entropy", "os.urandom"
    if hasattr(os, "getrandom"):
        found[os.getrandom] = "entropy", "os.getrandom"
    found[ssl.RAND_bytes] = "entropy", "ssl.RAND_bytes"
    found[builtins.id] = "address", "id"
    found[builtins.hash] = "hash", "hash"
    found[os.getpid] = "process", "os.getpid"
    found[_thread.get_ident] = "process", "threading.get_ident"
    found[socket.gethostname] = "environment", "socket.gethostname"
    for name in ("start_new_thread", "start_joinable_thread"):
        if hasattr(_thread, name):
            found[getattr(_thread, name)] = "thread", "a thread's start"
    return {_key(function): its for function, its in found.items()}


_ONLY_DIRECTLY: Final = frozenset({"address", "hash"})
"""Libraries call these all the time, and do no harm with it."""

_STAND_IN_BETWEEN: Final = frozenset(
    {
        *("fence.py", "substitutes.py", "conditions.py", "readings.py", "worker_process.py"),
        *("file_calls.py", "opened_files.py", "sqlite_functions.py", "install.py"),
    }
)
"""Files of our own that stand between a relay and what it reads."""

_ROOMS: Final = ("relay", "reports", "scenarios", "sim")


@cache
def owner(file: str) -> Literal["user", "library", "python", "own"]:
    """Whose a source file is."""
    if file.startswith("<"):
        return "python"
    path = os.path.realpath(file)
    root = Path(relaysim.__file__).resolve().parent.parent
    if any(path.startswith(f"{root / room}{os.sep}") for room in _ROOMS):
        return "own"
    if any(part in ("site-packages", "dist-packages") for part in Path(path).parts):
        return "library"
    names = sysconfig.get_paths()
    if any(path.startswith(os.path.realpath(names[name]) + os.sep) for name in ("stdlib", "platstdlib")):
        return "python"
    return "user"


class Watch:
    """Listens in this process; `importing` while modules are imported, `world` while one world runs."""

    def __init__(self) -> None:
        self._suspects = _suspects()
        self._environment = type(os.environ).__getitem__.__code__
        self._codes: Mapping[CodeType, tuple[Kind, str]] = {
            asyncio.as_completed.__code__: ("address", "asyncio.as_completed, which starts them in the order of a set"),
        }
        # Generators that the system's entropy has seeded, by their addresses: they stay.
        self._unseeded: dict[int, random.Random] = {id(random._inst): random._inst}
        self._imported: dict[int, list[Reading]] = {}
        self._noted: list[Reading] = []
        self._seen: set[tuple[Any, ...]] = set()
        self._listening = False
        self._follow_seeding()
        sys.addaudithook(self._audit)

    @contextmanager
    def importing(self, scenario: int) -> Iterator[None]:
        """What is read in it counts for every world of this scenario."""
        with self._listen():
            yield
        self._imported[scenario] = self._noted

    @contextmanager
    def world(self, scenario: int) -> Iterator[list[Reading]]:
        """The readings of a world of this scenario, and before them those of its imports; complete when the block ends."""
        with self._listen():
            yield self._noted
        self._noted[:0] = self._imported.get(scenario, [])

    @contextmanager
    def _listen(self) -> Iterator[None]:
        self._noted, self._seen, self._listening = [], set(), True
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            sys.settrace(None)
            self._listening = False

    # What is called

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            found = self._suspects.get(_key(argument)) or self._of_generator(argument)
            if found is not None:
                self._note(*found, frame)
        elif event == "call":
            code = frame.f_code
            if code is self._environment:
                self._note("environment", f"os.environ[{frame.f_locals.get('key')!r}]", frame)
            elif code in self._codes:
                self._note(*self._codes[code], frame.f_back or frame)

    def _of_generator(self, function: Any) -> tuple[Kind, str] | None:
        instance = getattr(function, "__self__", None)
        if isinstance(instance, random.Random):
            if id(instance) in self._unseeded and function.__name__ in ("random", "getrandbits"):
                return "entropy", "a random.Random that was seeded outside of the world"
        elif type(instance).__module__.startswith("numpy.random"):
            return "entropy", f"numpy.random's {type(instance).__name__}, which the world does not seed"
        return None

    def _follow_seeding(self) -> None:
        real_seed = random.Random.seed

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            real_seed(generator, a, version)
            if a is None and fence._inside() is None:
                self._unseeded[id(generator)] = generator
            else:
                self._unseeded.pop(id(generator), None)

        random.Random.seed = seed  # type: ignore[assignment, method-assign]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._listening or event not in ("open", "sqlite3.connect"):
            return
        path = arguments[0]
        frame: FrameType | None = sys._getframe(1)
        each = frame
        while each is not None and owner(each.f_code.co_filename) != "user":
            if each.f_code.co_filename.startswith("<frozen importlib") or each.f_code.co_filename == __file__:
                return  # a module's file
            each = each.f_back
        if frame is not None and isinstance(path, str | bytes | os.PathLike):
            self._note("file", f"the file {os.fspath(path)!r}", frame)

    # What is iterated over

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._trace_line if owner(frame.f_code.co_filename) == "user" else None

    def _trace_line(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "line":
            for expression in places(frame.f_code.co_filename).get(frame.f_lineno, ()):
                met = set_met(expression, frame)
                if met is not None:
                    self._note_order(met, frame)
        elif event == "return" and isinstance(argument, set | frozenset) and not frame.f_code.co_name.startswith("<"):
            caller = frame.f_back  # of a comprehension it is where the set is made, not where it is iterated over
            given = () if caller is None else places(caller.f_code.co_filename).get(caller.f_lineno, ())
            if caller is not None and any(isinstance(each, ast.Call) for each in given):
                self._note_order(argument, caller)
        return self._trace_line

    def _note_order(self, met: Any, frame: FrameType) -> None:
        if met is UNKNOWN:
            self._note("hash", "the order of a set", frame)
            return
        if len(met) < 2:
            return
        elements = list(met)[:_ELEMENTS_MAX]
        decided = {decided_by(each) for each in elements}
        kind: Kind | None = "address" if "address" in decided else "hash" if "hash" in decided else None
        if kind is not None:
            what = (
                "the order of a set of texts"
                if isinstance(elements[0], str)
                else (f"the order of a set of {type(elements[0]).__name__}")
            )
            labels = [_label(each) for each in elements]
            self._note(kind, what, frame, ", ".join(labels) if len(set(labels)) > 1 else "")

    # Notes

    def _note(self, kind: Kind, what: str, frame: FrameType, value: str = "") -> None:
        kernel = fence._inside()
        if kernel is not None and what in _VIRTUAL_INSIDE:
            return
        place = self._place(kind, frame)
        if place is None:
            return
        users, at = place
        host = current_host()
        key = (kind, what, value, at.f_code, at.f_lineno, host and host.name)
        if key in self._seen or len(self._noted) >= READINGS_MAX:
            return
        self._seen.add(key)
        self._noted.append(
            Reading(
                *(kind, what, value, at.f_code.co_filename, at.f_lineno, at.f_code.co_name, users),
                None if kernel is None else kernel.now,
                "" if host is None else host.name,
            )
        )

    def _place(self, kind: Kind, frame: FrameType) -> tuple[bool, FrameType] | None:
        """The frame that a reading belongs to, and whether it is the user's; None if it is our own business."""
        asks = frame.f_code.co_filename
        if kind == "process" and (owner(asks) == "own" or asks.startswith("<frozen importlib")):
            return None  # the fence and every import ask which thread they are in
        if kind in _ONLY_DIRECTLY:
            return (True, frame) if owner(frame.f_code.co_filename) == "user" else None
        library: FrameType | None = None
        each: FrameType | None = frame
        while each is not None:
            whose = owner(each.f_code.co_filename)
            if whose == "user":
                return True, each
            if whose == "own" and Path(each.f_code.co_filename).name not in _STAND_IN_BETWEEN:
                break
            if whose == "python" and each.f_code.co_name == "<module>":
                return None  # a module of Python's reads it while it is imported
            if whose == "library" and library is None:
                if fence._inside() is None:
                    return False, each  # while it is imported it reads for itself
                library = each
            each = each.f_back
        return None if library is None else (False, library)


_STABLE: Final = (int, float, complex, uuid.UUID)


def decided_by(element: Any) -> Literal["hash", "address", ""]:
    """What decides about an element's place in a set: PYTHONHASHSEED, its address, or neither."""
    if isinstance(element, tuple | frozenset):
        inner = {decided_by(each) for each in element}
        return "address" if "address" in inner else "hash" if "hash" in inner else ""
    if isinstance(element, _STABLE):
        return ""
    hash_of: Any = type(element).__hash__
    return "address" if hash_of is object.__hash__ else "hash"


def _label(element: Any) -> str:
    """A short text that is the same in every process, as far as there is one."""
    name = getattr(element, "get_name", None)
    text = name() if callable(name) and isinstance(element, asyncio.Task) else repr(element)
    if re.fullmatch(r"Task-\d+", text):  # counted through the whole process
        text = "Task"
    if " at 0x" in text:
        text = type(element).__name__
    return text if len(text) <= _LABEL_MAX else text[: _LABEL_MAX - 1] + "…"
