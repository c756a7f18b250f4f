"""How Python's `threading` starts, names and joins threads, in a worker: what it imports from `_thread`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from relaysim.sim.kernel import Unhandled
from relaysim.sim.threads.locks import Lock, thread_ident
from relaysim.sim.threads.strands import Threads, current_strand, delivery_context


class _Begun(threading.Event):
    """Set by a new `threading.Thread` when it has begun, which its starter waits for: then the starter goes on first.

    Else a thread would run inside whatever its starter does under a lock.
    """

    def set(self) -> None:
        super().set()
        strand = current_strand()
        if strand is not None:
            strand.threads.wake(strand)
            strand.park()


def _let_begin(function: Callable[..., Any]) -> None:
    thread = getattr(function, "__self__", None)
    if isinstance(thread, threading.Thread):
        thread._started = _Begun()  # type: ignore[attr-defined]


def start_new_thread(
    threads: Threads, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> int:
    """`_thread.start_new_thread`; the new thread's number."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    _let_begin(function)
    return threads.start(partial(_report, threads, partial(function, *args, **(kwargs or {}))), delivery_context())


def _report(threads: Threads, function: Callable[[], Any]) -> None:
    """Run a thread without an object, whose exceptions nobody else would tell of."""
    try:
        function()
    except SystemExit:
        raise
    except Exception as error:
        told_unhandled(threads, "Exception in a thread", error)


def told_unhandled(threads: Threads, message: str, error: BaseException) -> None:
    """Tell whoever listens to the kernel of an exception that ended a thread."""
    kernel = threads.host.kernel
    context = delivery_context()
    if kernel.unhandled is not None and not threads.ended:
        kernel.unhandled(Unhandled(threads.host.name, "thread", message, error, context, kernel.place()))


def except_hook(threads: Threads, given: Any) -> None:
    """`threading.excepthook` as it is by default: what ended a thread, recorded instead of printed."""
    if given.exc_type is not SystemExit and given.exc_value is not None:
        name = "" if given.thread is None else f" {given.thread.name}"
        told_unhandled(threads, f"Exception in thread{name}", given.exc_value)


def set_sentinel(threads: Threads) -> Lock:
    """`_thread._set_sentinel` of Python 3.11 and 3.12: a lock that is released when the calling thread ends."""
    lock = Lock()
    strand = current_strand()
    if strand is not None:
        strand.at_end.append(lambda: lock.release() if lock.locked() else None)
    return lock


class ThreadHandle:
    """`_thread._ThreadHandle` of Python 3.13: what a `threading.Thread` is started and joined by."""

    __slots__ = ("__weakref__", "_done", "_ended", "_is_started", "ident")

    def __init__(self) -> None:
        self.ident = 0
        self._is_started = self._done = False
        self._ended = Lock()

    def is_done(self) -> bool:
        """Whether the thread has ended."""
        return self._done

    def _start(self) -> None:
        if self._is_started:
            raise RuntimeError("thread already started")
        self._is_started = True
        self._ended.acquire()

    def _check_started(self) -> None:
        if not self._is_started:
            raise RuntimeError("thread not started")

    def _set_done(self) -> None:
        self._check_started()
        self._done = True
        if self._ended.locked():
            self._ended.release()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended.

        Raises:
            RuntimeError: the thread joins itself, or was not started.
        """
        self._check_started()
        if self._done:
            return
        if self.ident == thread_ident():
            raise RuntimeError("Cannot join current thread")
        if self._ended.acquire(timeout=-1 if timeout is None or timeout < 0 else timeout):
            self._ended.release()


def start_joinable_thread(
    threads: Threads, function: Callable[[], Any], handle: ThreadHandle | None = None, daemon: bool = True
) -> ThreadHandle:
    """`_thread.start_joinable_thread` of Python 3.13."""
    handle = ThreadHandle() if handle is None else handle
    handle._start()
    _let_begin(function)

    def run() -> None:
        strand = current_strand()
        assert strand is not None
        handle.ident = thread_ident()
        strand.at_end.append(handle._set_done)
        _report(threads, function)

    handle.ident = threads.start(run, delivery_context())
    return handle


def make_thread_handle(threads: Threads, ident: int) -> ThreadHandle:
    """`_thread._make_thread_handle` of Python 3.13, for a thread that `threading` has not started."""
    handle = ThreadHandle()
    handle.ident = ident
    handle._is_started = True
    return handle


NAMES: Final[Mapping[str, Callable[..., Any]]] = {
    "start_new_thread": start_new_thread,
    "start_joinable_thread": start_joinable_thread,
    "_make_thread_handle": make_thread_handle,
    "_set_sentinel": set_sentinel,
    "_excepthook": except_hook,
}
"""By its name in `_thread`, what stands for it; Python versions differ in which they have."""
