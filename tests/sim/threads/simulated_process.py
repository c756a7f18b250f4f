"""A simulated process for tests: plain code of it may block, in virtual time."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from relaysim.sim.kernel import Fence, Host, Kernel
from relaysim.sim.threads import MAIN_IDENT, MAIN_THREAD, Threads, drive, in_thread, install

T = TypeVar("T")

_REAL = {"get_ident": _thread.get_ident}
"""In a table, since names of modules are where substitutes are put."""

_MAIN = _thread.get_ident()


class Process:
    """One process in a world of its own.

    Attributes:
        kernel: the world's.
        host: the process's.
        threads: its threads.
        blocked: where its loop was held up, and for how many virtual seconds.
    """

    _present: Process | None = None

    def __init__(self, kernel: Kernel, name: str = "w1") -> None:
        self.kernel = kernel
        self.host: Host = kernel.host(name)
        self.blocked: list[tuple[str, float]] = []
        self.threads = Threads(self.host, self._run, lambda block: self.blocked.append(block[:2]))
        drive(self.threads, self.host.loop, self.host, MAIN_IDENT)

    def _run(self, function: Callable[..., T], *args: Any) -> T:
        outer, Process._present = Process._present, self
        try:
            return function(*args)
        finally:
            Process._present = outer

    def spawn(self, coroutine: Awaitable[T]) -> list[T]:
        """Run a coroutine on its loop; what it returns will be in the list."""
        results: list[T] = []

        async def run() -> None:
            results.append(await coroutine)

        self.host.spawn(run())
        return results

    def start(self, function: Callable[..., T], *args: Any) -> list[T]:
        """Run plain code in a thread of it; what it returns will be in the list."""
        return self.spawn(in_thread(function, *args))


def _running() -> Threads | None:
    present = Process._present
    return present.threads if present is not None and _REAL["get_ident"]() == _MAIN else None


@contextmanager
def processes(*names: str) -> Iterator[list[Process]]:
    """A world with a process of each name, whose kernel the caller runs."""
    kernel = Kernel()
    with Fence() as fence:
        fence.attach(kernel)
        undo = install(_running)
        own: dict[str, Any] = {
            "excepthook": threading.__excepthook__,  # not the test runner's
            "_active": {MAIN_IDENT: MAIN_THREAD},
            "_limbo": {},
            "_main_thread": MAIN_THREAD,
            "_shutdown_locks": set(),  # of threads that Python would wait for at its end; later Pythons keep none
        }
        outer = {name: vars(threading)[name] for name in own if hasattr(threading, name)}
        vars(threading).update({name: own[name] for name in outer})
        try:
            made = [Process(kernel, name) for name in names or ("w1",)]
            yield made
        finally:
            try:
                for each in made:
                    each.threads.end()
                kernel.close()
            finally:
                vars(threading).update(outer)
                undo()


def simulate(function: Callable[..., T], *args: Any) -> T:
    """Run plain code as a thread of a process, and return what it returns.

    Raises:
        AssertionError: it was still waiting when nothing was left to do.
        BaseException: what it raises.
    """
    with processes() as (process,):
        results = process.start(function, *args)
        process.kernel.run()
        assert results, "still waiting"
        return results[0]


def simulate_coroutine(function: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function on the loop of a process."""
    with processes() as (process,):
        results = process.spawn(function())
        process.kernel.run()
        assert results, "still waiting"
        return results[0]
