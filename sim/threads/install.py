"""Putting what stands for Python's threads, locks and waits in place, for whatever code of a worker runs."""

from __future__ import annotations

import _queue
import _thread
import _threading_local
import asyncio
import concurrent.futures.thread
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, Final

from relaysim.sim.kernel import current_context
from relaysim.sim.kernel.fence import replace_names
from relaysim.sim.threads import alarms, locks, loops, starting
from relaysim.sim.threads.strands import Threads, current_strand

_PROCESSORS: Final = 4
"""As many as a small machine has: executors size themselves by it, and a world must not depend on the real machine."""


class _Local(_threading_local.local):
    """`threading.local` in a worker: Python's own code without C."""


class _ProcessLock:
    """A lock of a library's that each process has one of, though all share the library: a worker's threads may wait while
    they hold it."""

    def __init__(self, real: Any, running: Callable[[], Threads | None]) -> None:
        self._real, self._running = real, running

    def _lock(self) -> Any:
        threads = self._running()
        return self._real if threads is None else threads.own(id(self), locks.Lock)

    def __enter__(self) -> Any:
        return self._lock().acquire()

    def __exit__(self, *error: object) -> None:
        self._lock().release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock(), name)


class _WorkItem(concurrent.futures.thread._WorkItem[Any]):
    """A job of an executor, done for the message in whose handling it was handed over: the executor's thread may have been
    started for another one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._context = current_context.get()

    def run(self) -> None:
        before = current_context.set(self._context)
        try:
            super().run()
        finally:
            current_context.reset(before)


class _ProcessLocal:
    """A `threading.local` of a library's: each thread of a worker has its own attributes in it, though all share the
    library, and Python itself takes them for one thread."""

    __slots__ = ("_real", "_running")

    def __init__(self, real: Any, running: Callable[[], Threads | None]) -> None:
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_running", running)

    def _local(self) -> Any:
        threads = self._running()
        return self._real if threads is None else threads.own(id(self), _Local)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._local(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._local(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._local(), name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return self._local().__dict__


def _locals_of_libraries(kind: type) -> Iterator[Any]:
    """Each `threading.local` in the globals of a loaded module, once."""
    found = {
        id(value): value
        for module in list(sys.modules.values())
        for value in list(getattr(module, "__dict__", {}).values())
        if type(value) is kind
    }
    yield from found.values()


def _pairs(running: Callable[[], Threads | None]) -> Iterator[tuple[Any, Any]]:
    def is_inside() -> bool:
        return running() is not None

    def for_threads(real: Any, instead: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            threads = running()
            return real(*args, **kwargs) if threads is None else instead(threads, *args, **kwargs)

        return call

    def without(instead: Callable[..., Any]) -> Callable[..., Any]:
        return lambda threads, *args, **kwargs: instead(*args, **kwargs)

    # What the fence has put in their places is what code outside of workers goes on to have.
    present = vars(_thread)
    for name, function in starting.NAMES.items():
        if name in present:
            yield present[name], for_threads(present[name], function)
    for name in ("get_ident", "get_native_id"):
        yield present[name], _by_strand(present[name])
    yield time.sleep, for_threads(time.sleep, without(locks.sleep))
    for names, kind in (
        (("allocate_lock", "LockType"), locks.Lock),
        (("RLock",), locks.RLock),
        (("_ThreadHandle",), starting.ThreadHandle),
    ):
        for name in names:
            if name in present:
                yield present[name], locks.by_caller(kind, present[name], is_inside)
    kind = present["_local"]
    yield kind, locks.by_caller(_Local, lambda *args: _ProcessLocal(kind(*args), running), is_inside)
    for each in _locals_of_libraries(kind):
        yield each, _ProcessLocal(each, running)
    yield _queue.SimpleQueue, locks.by_caller(locks.SimpleQueue, _queue.SimpleQueue, is_inside)
    executors = concurrent.futures.thread
    lock: Any = executors._global_shutdown_lock
    yield lock, _ProcessLock(lock, running)
    yield executors._WorkItem, _WorkItem
    yield asyncio.new_event_loop, for_threads(asyncio.new_event_loop, loops.new_event_loop)
    yield asyncio.set_event_loop, for_threads(asyncio.set_event_loop, loops.set_event_loop)
    yield asyncio.get_event_loop, for_threads(asyncio.get_event_loop, loops.get_event_loop)
    for name in ("cpu_count", "process_cpu_count"):
        if hasattr(os, name):
            yield getattr(os, name), for_threads(getattr(os, name), without(lambda: _PROCESSORS))
    yield signal.signal, for_threads(signal.signal, without(alarms.set_handler(signal.signal)))
    yield signal.getsignal, for_threads(signal.getsignal, without(alarms.get_handler(signal.getsignal)))
    for name, function in alarms.NAMES.items():
        if hasattr(signal, name):
            yield getattr(signal, name), for_threads(getattr(signal, name), without(function))
    if hasattr(os, "sched_getaffinity"):
        yield os.sched_getaffinity, for_threads(os.sched_getaffinity, without(lambda pid: set(range(_PROCESSORS))))


def _by_strand(real: Callable[[], int]) -> Callable[[], int]:
    """The number of the calling thread. It stays what it is while a library is loaded for all workers, or the import system
    would take the thread for another one there, and let it wait for modules that it is loading itself."""
    return lambda: real() if current_strand() is None else locks.thread_ident()


def install(running: Callable[[], Threads | None]) -> Callable[[], None]:
    """Put all of it in place; returns the undoing.

    Args:
        running: the threads of the process whose code runs; None: no worker's.
    """
    # Imports go on outside of workers, where threads have other numbers, and come back; their locks stay Python's own.
    importing: Any = sys.modules["_frozen_importlib"]
    imported_with = importing._thread
    importing._thread = SimpleNamespace(**vars(_thread))
    restore = replace_names({id(real): (real, instead) for real, instead in _pairs(running)}, but_in=_OWN)
    replaced = vars(ThreadPoolExecutor)[
        "_counter"
    ]  # as it stands there: it may be what another installation has put there
    real_counter = ThreadPoolExecutor._counter  # type: ignore[attr-defined]

    def count() -> int:
        threads = running()
        return int(real_counter() if threads is None else next(threads.own("executors", itertools.count)))

    # By it executors name their threads, and names of threads are logged.
    ThreadPoolExecutor._counter = staticmethod(count)  # type: ignore[attr-defined]

    def undo() -> None:
        ThreadPoolExecutor._counter = replaced  # type: ignore[attr-defined]
        restore()
        importing._thread = imported_with

    return undo


_OWN: Final = "relaysim.sim"
