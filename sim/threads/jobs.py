"""Loops of a process that can block, and the threads that they start: jobs of executors, and plain code that is awaited."""

from __future__ import annotations

import asyncio
import threading
from asyncio import Future
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, TypeVar

from relaysim.sim.kernel import Host
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.kernel.loop import HostLoop
from relaysim.sim.threads.strands import Threads, current_strand, delivery_context

T = TypeVar("T")

JOBS_MAX: Final = 8
"""How many jobs asyncio's default executor does at a time on a machine of four processors."""


def drive(threads: Threads, loop: HostLoop, host: Host, ident: int) -> None:
    """From now on the kernel lets this loop have its turns in this thread of the process, where its code may block."""
    loop.drain = partial(threads.run, threads.turn, loop, host, ident)  # type: ignore[method-assign]
    jobs = threads.own(_Jobs, partial(_Jobs, threads))
    loop.run_in_executor = partial(jobs.run, loop)  # type: ignore[method-assign]


class _Jobs:
    """The executors of one process's loops."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._running = 0
        self._waiting: deque[tuple[Context, Future[Any], Callable[[], Any]]] = deque()

    def run(self, loop: HostLoop, executor: Executor | None, function: Callable[..., T], *args: Any) -> Future[T]:
        """`loop.run_in_executor`: by threads, as asyncio does it.

        A job of the default executor begins as one step of the loop, so that one that does not block takes as many steps in
        every world, however often its library was used before.
        """
        if executor is not None:
            return asyncio.wrap_future(executor.submit(function, *args), loop=loop)
        loop.refuse_without_executor()
        future: Future[T] = loop.create_future()
        loop.call_soon(self._begin, future, partial(function, *args))
        return future

    def _begin(self, future: Future[Any], function: Callable[[], Any]) -> None:
        if future.cancelled():
            return
        if self._running >= JOBS_MAX:
            self._waiting.append((copy_context(), future, function))
            return
        self._running += 1
        thread = _thread_for(partial(self._do, future, function))
        self._threads.start(thread._bootstrap, delivery_context(), at_once=True)

    def _do(self, future: Future[Any], function: Callable[[], Any]) -> None:
        strand = current_strand()
        assert strand is not None
        end, result = _outcome(function)
        if self._threads.ended:
            return
        if strand.turns:
            self._threads.host.kernel.at(0.0, end, future, result)
        else:
            end(future, result)
        self._running -= 1
        if self._waiting:
            context, waiting, job = self._waiting.popleft()
            waiting.get_loop().call_soon_threadsafe(partial(self._begin, waiting, job), context=context)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run plain code in a new thread of the process whose coroutine awaits this.

    Raises:
        BaseException: what the function raises.
    """
    strand = current_strand()
    if strand is None:
        raise refuse("starting a thread where a worker has not begun")
    threads = strand.threads
    future: Future[T] = asyncio.get_running_loop().create_future()

    def run() -> None:
        end, result = _outcome(partial(function, *args))
        if not threads.ended:
            threads.host.kernel.at(0.0, end, future, result)

    threads.start(_thread_for(run)._bootstrap, delivery_context())
    return await future


def _thread_for(run: Callable[[], None]) -> Any:
    """A `threading.Thread` that only has to begin: its `start` would wait until it has."""
    thread = threading.Thread(target=run)
    threading._limbo[thread] = thread  # type: ignore[attr-defined]  # where `start` puts it
    return thread


def _outcome(function: Callable[[], Any]) -> tuple[Callable[[Future[Any], Any], None], Any]:
    """How a future is to end by what a function returns or raises."""
    try:
        return _succeed, function()
    except BaseException as error:
        return _fail, error


def _succeed(future: Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: Future[Any], error: BaseException) -> None:
    if isinstance(error, StopIteration):  # which no future can hold
        error = RuntimeError(f"{type(error).__name__} left a thread")
    if not future.done():
        future.set_exception(error)
