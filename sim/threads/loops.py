"""Event loops that plain code runs itself: `asyncio.run` in a thread of a worker.

A loop of a thread is a companion of its process: the kernel gives it its turns while the thread is in `run_until_complete`
or `run_forever`, and at no other time.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop, Future
from typing import Any, TypeVar

from relaysim.sim.kernel.loop import HostLoop
from relaysim.sim.threads.jobs import drive
from relaysim.sim.threads.locks import thread_ident
from relaysim.sim.threads.strands import Strand, Threads, strand_of_plain_code

T = TypeVar("T")


class ThreadLoop(HostLoop):
    """The loop that `asyncio.new_event_loop` makes in a worker's code."""

    def __init__(self, threads: Threads) -> None:
        host = threads.host.companion()
        super().__init__(host, threads.host.kernel)
        host.loop = self
        self.cancelled = threads.told_cancelled
        self._threads = threads
        self._runner: Strand | None = None
        self._is_over = False
        # Nothing runs until somebody runs it.
        self._scheduled = True
        self.block()
        drive(threads, self, host, thread_ident())

    def run_forever(self) -> None:
        """Until `stop`.

        Raises:
            RuntimeError: the loop is closed, or this thread runs one already.
        """
        self._run()

    def run_until_complete(self, future: Any) -> Any:
        """Until the future, or a task of the coroutine, is done; its result.

        Raises:
            RuntimeError: as `run_forever`, or the loop was stopped before.
            BaseException: what the future raises.
        """
        self._check()
        is_ours = not asyncio.isfuture(future)
        awaited: Future[Any] = asyncio.ensure_future(future, loop=self)
        awaited.add_done_callback(self._stop_for)
        try:
            self._run()
        except BaseException:
            if is_ours and awaited.done() and not awaited.cancelled():
                awaited.exception()  # or it would be told as one that nobody asked for
            raise
        finally:
            awaited.remove_done_callback(self._stop_for)
        if not awaited.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return awaited.result()

    def _check(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        if self._runner is not None:
            raise RuntimeError("This event loop is already running")
        if strand_of_plain_code() is None:
            raise RuntimeError("Cannot run the event loop while another loop is running")

    def _run(self) -> None:
        self._check()
        strand = strand_of_plain_code()
        assert strand is not None
        self._runner, self._is_over = strand, False
        self.unblock()
        try:
            strand.park()
        finally:
            self._runner = None
            self._stand_still()
            self.block()

    def _stop_for(self, future: Future[Any]) -> None:
        self.stop()

    def stop(self) -> None:
        """Let whoever runs the loop go on."""
        if self._runner is not None and not self._is_over:
            self._is_over = True
            self._threads.wake(self._runner)

    def is_running(self) -> bool:
        """Whether a thread is in `run_forever` or `run_until_complete`."""
        return self._runner is not None

    def _refuse_if_running(self, words: str) -> None:
        if self._runner is not None and not self._threads.ended:
            raise RuntimeError(words)


def new_event_loop(threads: Threads) -> AbstractEventLoop:
    """`asyncio.new_event_loop`."""
    return ThreadLoop(threads)


def set_event_loop(threads: Threads, loop: AbstractEventLoop | None) -> None:
    """`asyncio.set_event_loop`, for the calling thread."""
    if loop is not None and not isinstance(loop, AbstractEventLoop):
        raise TypeError(f"loop must be an instance of AbstractEventLoop or None, not {type(loop).__name__!r}")
    if loop is None:
        threads.event_loops.pop(thread_ident(), None)
    else:
        threads.event_loops[thread_ident()] = loop


def get_event_loop(threads: Threads) -> AbstractEventLoop:
    """`asyncio.get_event_loop`.

    Raises:
        RuntimeError: this thread neither runs nor has set one.
    """
    running = asyncio._get_running_loop()
    if running is not None:
        return running
    known = threads.event_loops.get(thread_ident())
    if known is None:
        raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
    return known
