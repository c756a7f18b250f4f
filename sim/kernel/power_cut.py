"""What a crashed host leaves behind, and how it is dropped without a line of it running.

A power cut runs no `finally` and no `except`. Python does: when a suspended coroutine or generator is collected, it is
resumed once more to clean up, and a worker that crashed would release its lease after all. So a crashed host's tasks,
asynchronous generators and callbacks are kept for as long as its world lives. When the world is closed, each frame that is
suspended among them is marked as completed, which is all that Python asks before it resumes one; then everything is
dropped, and its memory comes back. Whatever has not been dropped when the interpreter ends is dropped then.

The mark is a byte in the object's head, at a place that is known for CPython 3.11, 3.12 and 3.13 and is tried out when
this module is imported. Where that does not work, all of it is kept for the life of the process and beyond: nothing
of it runs either, but a crashed world's memory (some 100 KiB) does not come back.

Reached are the coroutines of tasks, asynchronous generators, and below them further ones, context managers that are
generators, and whatever else is held by nothing that outlives the host. A generator that somebody else holds too is left
alone: it may be a test's own. Not covered: such a generator below an object that refers to itself by a detour; `__del__`
methods; callbacks of weak references. These run once the world is closed, when nothing that they do is part of it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys
import weakref
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import AsyncGenerator, Generator, Iterable
from contextvars import Context
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    FrameType,
    GeneratorType,
    ModuleType,
    TracebackType,
)
from typing import Any, Final

from relaysim.sim.kernel.modules_aside import modules_named

try:
    import ctypes
except ImportError:  # pragma: no cover - a Python built without it
    ctypes = None  # type: ignore[assignment]

_COMPLETED: Final = 1
_abi_flags: str = getattr(sys, "abiflags", "")  # Windows has none

_PLACES: Final = {(3, 11): 75, (3, 12): 67, (3, 13): 67}
"""How many bytes into a coroutine or generator its frame's state stands, on 64 bits. Below 0: suspended, or not begun."""


class CrashedWork:
    """What a crashed host leaves: kept from its making until `release`.

    Attributes:
        tasks: unfinished ones.
        generators: asynchronous generators that have begun and may not have ended.
        callbacks: whatever was ready or due, with its arguments.
    """

    __slots__ = ("callbacks", "generators", "tasks")

    def __init__(self) -> None:
        self.tasks: list[Task[Any]] = []
        self.generators: list[AsyncGenerator[Any, Any]] = []
        self.callbacks: list[object] = []
        _kept.append(self)

    def release(self) -> None:
        """Let go of everything, so that nothing of it runs. Nothing of it may be running now."""
        if self not in _kept:
            return
        _kept.remove(self)
        suspended = _suspended_in((*(task.get_coro() for task in self.tasks), *self.generators, *self.callbacks))
        if _place is None:
            for each in (*suspended, *self.tasks, *self.generators, *self.callbacks):
                _keep_for_ever(each)
        else:
            _complete(suspended, _place)
        _forget_in_anyio(self.tasks)
        self.tasks.clear()
        self.generators.clear()
        self.callbacks.clear()


_kept: list[CrashedWork] = []


def _release_all() -> None:
    while _kept:
        _kept[-1].release()


atexit.register(_release_all)


def _forget_in_anyio(tasks: Iterable[Task[Any]]) -> None:
    """anyio notes each task with its cancel scope, and that holds the task: what has not left it stays for ever."""
    for module in modules_named("anyio._backends._asyncio"):
        states = getattr(module, "_task_states", None)
        if states is not None:
            for task in tasks:
                states.pop(task, None)


# Suspended frames

_LEAVES: Final = (
    AbstractEventLoop,
    Context,
    Future,
    type,
    CodeType,
    FrameType,
    ModuleType,
    TracebackType,
    weakref.ref,
    str,
    bytes,
    int,
    float,
    type(None),
)
"""What is not looked into: it holds no frame of its own, or what it holds is reached anyway."""

_ALWAYS, _IF_NOT_SHARED, _NEVER = range(3)


def _when_to_look_into(cls: type) -> int:
    if issubclass(cls, (CoroutineType, AsyncGeneratorType)):
        return _ALWAYS
    return _NEVER if issubclass(cls, _LEAVES) else _IF_NOT_SHARED


def _references_of_a_name() -> int:
    """What `sys.getrefcount` says of an object that one local name holds and nothing else."""
    objects = [object()]
    each = objects.pop()
    return sys.getrefcount(each)


_NAMED: Final = _references_of_a_name()


def _suspended_in(roots: Iterable[object]) -> list[Any]:
    """The suspended coroutines and generators among the roots and below them, each once."""
    suspended: list[Any] = []
    rules: dict[type, int] = {}
    pending = list(roots)
    reached = {id(each) for each in pending}
    references: dict[int, int] = {}  # found so far; as many as an object has: nobody else holds it
    while pending:
        thing = pending.pop()
        if isinstance(thing, (CoroutineType, GeneratorType, AsyncGeneratorType)):
            suspended.append(thing)
        below = gc.get_referents(thing)
        while below:
            each = below.pop()
            rule = rules.get(type(each))
            if rule is None:
                rule = rules[type(each)] = _when_to_look_into(type(each))
            if rule == _NEVER:
                continue
            key = id(each)
            if key in reached:
                continue
            found = references[key] = references.get(key, 0) + 1
            if rule == _ALWAYS or sys.getrefcount(each) - _NAMED == found:
                reached.add(key)
                pending.append(each)
    return suspended


def _state_of(thing: object, place: int) -> int:
    state: int = ctypes.c_int8.from_address(id(thing) + place).value
    return state


def _complete(suspended: Iterable[Any], place: int) -> None:
    """Mark frames as completed, those that have not begun too."""
    for thing in suspended:
        if _state_of(thing, place) < 0:
            ctypes.c_int8.from_address(id(thing) + place).value = _COMPLETED


def _keep_for_ever(thing: object) -> None:
    """Also past the interpreter's end, when references from modules are dropped."""
    if ctypes is None:  # pragma: no cover - a Python built without it
        _never_dropped.append(thing)
    else:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


_never_dropped: list[object] = []


# Whether marking works here


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


class _Held:
    """Something that a frame holds."""


def _works_at(place: int) -> bool:
    """Whether frames of every kind are where they should be, and go without running and without a trace."""
    ended: list[str] = []

    async def waits(held: _Held) -> None:
        try:
            await _Pause()
        except BaseException:
            ended.append("except")
            raise
        finally:
            ended.append("coroutine")

    async def awaits(held: _Held) -> None:
        with manages(held):
            await waits(held)

    @contextlib.contextmanager
    def manages(held: _Held) -> Generator[None, None, None]:
        try:
            yield
        finally:
            ended.append("generator")

    async def yields(held: _Held) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            ended.append("asynchronous generator")

    async def reads_itself() -> None:
        states.append(_state_of(running, place))

    held = _Held()
    states: list[int] = []
    running = reads_itself()
    begun, unbegun, generator = awaits(held), awaits(held), yields(held)
    begun.send(None)
    with contextlib.suppress(StopIteration):
        generator.__anext__().send(None)
    with contextlib.suppress(StopIteration):
        running.send(None)
    created = -3 if sys.version_info >= (3, 13) else -2
    states += [_state_of(running, place), _state_of(unbegun, place)]
    suspended = _suspended_in([begun, unbegun, generator])
    as_known = states == [0, 4, created] and len(suspended) == 6
    if not as_known or any(_state_of(each, place) not in range(created, 0) for each in suspended):
        unbegun.close()
        return False
    _complete(suspended, place)
    if any(_state_of(each, place) != _COMPLETED for each in suspended):
        unbegun.close()
        return False
    gone = weakref.ref(held)
    suspended.clear()
    del begun, unbegun, generator, held
    return not ended and gone() is None


def _find_place() -> int | None:
    if ctypes is None or sys.implementation.name != "cpython" or sys.maxsize < 2**32 or _abi_flags:
        return None  # other objects, or other heads (32 bits, debug and free-threaded builds)
    place = _PLACES.get(sys.version_info[:2])
    return place if place is not None and _works_at(place) else None


_place = _find_place()
"""Where a frame's state stands, or None: nothing can be dropped."""
