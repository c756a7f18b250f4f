"""`signal.alarm` and `signal.setitimer` in a worker: after so many virtual seconds the handler of `SIGALRM` runs in the
thread that has set it, in the middle of whatever that waits for. Libraries set time limits by it.

In production that is the main thread of a program; here a program may be one of several that share a process, each in a
thread. So each thread may have an alarm of its own.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

from relaysim.sim.kernel.agenda import ReadyHandle
from relaysim.sim.kernel.fence import refuse
from relaysim.sim.threads.strands import Interrupt, Strand, Threads, strand_of_plain_code

_ALARM: Final = getattr(signal, "SIGALRM", None)
_REAL_TIME: Final = getattr(signal, "ITIMER_REAL", None)


class _Alarm:
    """A thread's handler, and the timer that runs."""

    def __init__(self) -> None:
        self.handler: Any = signal.SIG_DFL
        self.interval = 0.0
        self._rings_at = 0.0
        self._timer: ReadyHandle | None = None

    def left(self, threads: Threads) -> float:
        """How many seconds are left; 0: no timer runs."""
        return 0.0 if self._timer is None else max(self._rings_at - threads.host.kernel.now, 0.0)

    def set(self, strand: Strand, seconds: float) -> None:
        """Let it ring after so many seconds, 0: not at all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds > 0.0:
            self._rings_at = strand.threads.host.kernel.now + seconds
            self._timer = strand.threads.call_later(seconds, self._ring, strand)

    def _ring(self, strand: Strand) -> None:
        self._timer = None
        self.set(strand, self.interval)
        if callable(self.handler) and not strand.dead:
            strand.threads.enter(strand, Interrupt(self.handler))


def _own(strand: Strand) -> _Alarm:
    alarms = strand.threads.own(_Alarm, dict[Strand, _Alarm])
    if strand not in alarms:
        alarms[strand] = _Alarm()
        strand.at_end.append(lambda: alarms.pop(strand).set(strand, 0.0))
    return alarms[strand]


def _of_plain_thread() -> tuple[Strand, _Alarm]:
    strand = strand_of_plain_code()
    if strand is None:
        raise refuse("an alarm that is not set by plain code in a thread")
    return strand, _own(strand)


def alarm(seconds: int) -> int:
    """`signal.alarm`; 0 takes an earlier one back. A negative number is a large one in C, and as good as never.

    Returns:
        The seconds that were left of an earlier one.

    Raises:
        LeavesSimulationError: in a coroutine, or without a handler, which ends a program in production.
    """
    return math.ceil(_start(seconds.__index__() % 2**32, 0.0)[0])


def set_timer(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
    """`signal.setitimer`, for the clock on the wall.

    Returns:
        What was left of an earlier one, and its interval.

    Raises:
        LeavesSimulationError: as `alarm`; and for clocks of the processor, which does not work for any time.
    """
    if which != _REAL_TIME:
        raise refuse("a timer of the processor's time")
    if seconds < 0 or interval < 0:
        raise signal.ItimerError(22, "Invalid argument")
    return _start(seconds, interval)


def _start(seconds: float, interval: float) -> tuple[float, float]:
    strand, own = _of_plain_thread()
    if seconds > 0 and own.handler == signal.SIG_DFL:
        raise refuse("an alarm without a handler, which would end the process,")
    left = own.left(strand.threads), own.interval
    own.interval = float(interval)
    own.set(strand, float(seconds))
    return left


def get_timer(which: int) -> tuple[float, float]:
    """`signal.getitimer`, for the clock on the wall."""
    if which != _REAL_TIME:
        raise refuse("a timer of the processor's time")
    strand, own = _of_plain_thread()
    return own.left(strand.threads), own.interval


def set_handler(instead: Callable[..., Any]) -> Callable[..., Any]:
    """`signal.signal`: of `SIGALRM` for the calling thread. No other signals come, and `instead` says what is returned."""

    def call(number: int, handler: Any) -> Any:
        strand = strand_of_plain_code()
        if number != _ALARM or strand is None:
            return instead(number, handler)
        if not callable(handler) and handler not in (signal.SIG_DFL, signal.SIG_IGN):
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        own = _own(strand)
        earlier, own.handler = own.handler, handler
        return earlier

    return call


def get_handler(instead: Callable[..., Any]) -> Callable[..., Any]:
    """`signal.getsignal`."""

    def call(number: int) -> Any:
        strand = strand_of_plain_code()
        if number != _ALARM or strand is None:
            return instead(number)
        return _own(strand).handler

    return call


NAMES: Final[Mapping[str, Callable[..., Any]]] = {"alarm": alarm, "setitimer": set_timer, "getitimer": get_timer}
"""By its name in `signal`, what stands for it; not every system has them."""
