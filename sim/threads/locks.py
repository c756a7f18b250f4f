"""What threads wait for, in virtual time: `time.sleep`, `threading.Lock` and `RLock`, `queue.SimpleQueue`.

Conditions, events, semaphores, barriers, timers, `queue.Queue` and executors are Python's own code on top of these. A lock
that is released goes to whoever has waited longest. Locks that libraries have made before any worker ran are Python's own:
nothing that blocks may happen while one of them is held.
"""

from __future__ import annotations

import _thread
import queue
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from relaysim.sim.kernel.fence import refuse
from relaysim.sim.threads.main_thread import MAIN_IDENT
from relaysim.sim.threads.strands import Strand, current_strand

_REAL: Final[dict[str, Any]] = {
    "TIMEOUT_MAX": _thread.TIMEOUT_MAX,
}
"""In a table, since names of modules are where substitutes are put."""


SPINS_MAX: Final = 20_000
"""After so many locks that a thread has asked for without waiting, it is taken to look for something that another thread
does, and lets the others run: in production Python interrupts it."""

SWITCH_SECONDS: Final = 0.005
"""For how long: the time that Python leaves a thread before another one's turn."""


def sleep(seconds: float) -> None:
    """`time.sleep` in a worker: virtual time passes, for this thread, or for all of a loop in whose code it is called."""
    strand = _strand("time.sleep")
    delay = float(seconds) if not hasattr(seconds, "__index__") else seconds.__index__()
    if delay < 0:
        raise ValueError("sleep length must be non-negative")
    strand.threads.wake_later(delay, strand)
    strand.park()


def thread_ident() -> int:
    """`threading.get_ident` in a worker."""
    strand = current_strand()
    return MAIN_IDENT if strand is None else strand.ident


def _strand(what: str) -> Strand:
    strand = current_strand()
    if strand is None:
        raise refuse(f"{what} where a worker has not begun")
    return strand


class _Waiting:
    """A strand in the queue of a lock."""

    __slots__ = ("granted", "strand")

    def __init__(self, strand: Strand) -> None:
        self.strand = strand
        self.granted = False


class Lock:
    """`threading.Lock` in a worker."""

    __slots__ = ("__weakref__", "_is_held", "_queue")

    def __init__(self) -> None:
        self._is_held = False
        self._queue: deque[_Waiting] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As Python's own.

        Raises:
            ValueError: for a negative timeout, or one without blocking.
            OverflowError: for a timeout of some centuries.
        """
        if timeout != -1:
            _check_timeout(blocking, timeout)
        strand = current_strand()
        if strand is not None:
            strand.spins += 1
            if strand.spins >= SPINS_MAX:
                sleep(SWITCH_SECONDS)
        if not self._is_held:
            self._is_held = True
            return True
        return bool(blocking) and timeout != 0 and self._wait(timeout)

    def _wait(self, timeout: float) -> bool:
        strand = _strand("waiting for a lock")
        threads = strand.threads
        waiting = _Waiting(strand)
        self._queue.append(waiting)
        timer = None if timeout < 0 else threads.call_later(timeout, self._give_up, waiting)
        try:
            strand.park()
        except BaseException:  # its world is over, or the handler of a signal has ended it
            if waiting in self._queue:
                self._queue.remove(waiting)
            elif waiting.granted and not threads.ended:
                self.release()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return waiting.granted

    def _give_up(self, waiting: _Waiting) -> None:
        if not waiting.granted:
            self._queue.remove(waiting)
            waiting.strand.threads.enter(waiting.strand)

    def release(self) -> None:
        """As Python's own: any thread may.

        Raises:
            RuntimeError: nobody holds it.
        """
        if not self._is_held:
            raise RuntimeError("release unlocked lock")
        if self._queue:
            waiting = self._queue.popleft()
            waiting.granted = True
            waiting.strand.threads.wake(waiting.strand)
        else:
            self._is_held = False

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._is_held

    acquire_lock, release_lock, locked_lock = acquire, release, locked

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self._is_held else 'unlocked'} {type(self).__name__} object at {id(self):#x}>"


def _check_timeout(blocking: bool, timeout: float) -> None:
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > _REAL["TIMEOUT_MAX"]:
        raise OverflowError("timeout value is too large")


class RLock:
    """`threading.RLock` in a worker."""

    __slots__ = ("__weakref__", "_count", "_lock", "_owner")

    def __init__(self, *ignored: Any, **also_ignored: Any) -> None:  # as Python's own, which says that it is deprecated
        self._lock = Lock()
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As Python's own; see `Lock.acquire`."""
        me = thread_ident()
        if self._owner == me:
            if timeout != -1:
                _check_timeout(blocking, timeout)
            self._count += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._owner, self._count = me, 1
        return True

    def release(self) -> None:
        """As Python's own.

        Raises:
            RuntimeError: this thread does not hold it.
        """
        if self._owner != thread_ident():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            self._lock.release()

    def locked(self) -> bool:
        """Whether some thread holds it."""
        return self._lock.locked()

    # What `threading.Condition` asks of it

    def _is_owned(self) -> bool:
        return self._owner == thread_ident()

    def _release_save(self) -> tuple[int, int]:
        if self._owner is None:
            raise RuntimeError("cannot release un-acquired lock")
        saved = self._count, self._owner
        self._count, self._owner = 0, None
        self._lock.release()
        return saved

    def _acquire_restore(self, saved: tuple[int, int]) -> None:
        self._lock.acquire()
        self._count, self._owner = saved

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self._lock.locked() else "unlocked"
        return f"<{state} {type(self).__name__} object owner={self._owner} count={self._count} at {id(self):#x}>"


class SimpleQueue(queue._PySimpleQueue):  # type: ignore[name-defined, misc]
    """`queue.SimpleQueue` in a worker: Python's own code without C."""


class ByCaller(type):
    """A class whose objects are a worker's where a worker's code makes one, and Python's own elsewhere."""

    real: Any
    is_inside: Callable[[], bool]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if "real" in vars(cls) and not cls.is_inside():
            return cls.real(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        if "real" in vars(cls) and (type(instance) in cls.__bases__ or type(instance) is cls.kind_of_real):
            return True
        return super().__instancecheck__(instance)

    @property
    def kind_of_real(cls) -> type:
        """The real class, also where it is made by a function."""
        return cls.real if isinstance(cls.real, type) else type(cls.real())


def by_caller(kind: type, real: Any, is_inside: Callable[[], bool]) -> type:
    """A class that stands for a real one, or for a function that makes its objects."""
    names = {"__slots__": (), "__doc__": kind.__doc__, "real": staticmethod(real), "is_inside": staticmethod(is_inside)}
    return ByCaller(kind.__name__, (kind,), names)
