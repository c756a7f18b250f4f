"""What stands for Python's clocks, and for the names of processes and machines, while code of a world runs.

The fence installs them; `inside` tells them the kernel whose world the calling code belongs to, None if to none: then each
does what the real function does.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from relaysim.sim.kernel.running import RunningHost, current_host


class HasTime(Protocol):
    """A kernel as its clocks need it: seconds since its world's start."""

    @property
    def now(self) -> float: ...


Inside = Callable[[], HasTime | None]
Pair = tuple[Callable[..., Any], Callable[..., Any]]

_NANOSECONDS: Final = 1_000_000_000
_TIMES_OF_DAY: Final = frozenset({"CLOCK_REALTIME", "CLOCK_TAI"})
_OF_PROCESSORS: Final = frozenset(
    {"CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID", "CLOCK_PROF", "CLOCK_HIGHRES"}
)

_PID_OF_FIRST_HOST: Final = 101


def clocks(inside: Inside) -> Iterator[Pair]:
    """Real clocks and their substitutes, but for the times of day: virtual seconds since the world's start, and for
    processor time 0, since code takes no virtual time."""
    for name in ("monotonic", "perf_counter"):
        for form, scale in ((name, None), (f"{name}_ns", _NANOSECONDS)):
            yield getattr(time, form), _clock(inside, getattr(time, form), scale)
    for name in ("process_time", "thread_time"):
        for form, value in ((name, 0.0), (f"{name}_ns", 0)):
            if hasattr(time, form):
                yield getattr(time, form), _still(inside, getattr(time, form), value)
    if hasattr(time, "clock_gettime"):
        yield time.clock_gettime, _clock_gettime(inside, time.clock_gettime, lambda value: value / _NANOSECONDS)
        yield time.clock_gettime_ns, _clock_gettime(inside, time.clock_gettime_ns, lambda value: value)
    yield os.times, _times(inside, os.times)


def names_of_hosts(inside: Inside) -> Iterator[Pair]:
    """What a process and its machine are called. Locks' tokens and consumers' names are often made of it: the number is
    another one in each life of a worker, the name each worker's own."""

    def of_host(real: Callable[[], Any], made: Callable[[RunningHost], Any]) -> Pair:
        def read() -> Any:
            host = current_host() if inside() is not None else None
            return real() if host is None else made(host)

        return real, read

    yield of_host(os.getpid, lambda host: _PID_OF_FIRST_HOST + host.process.index)
    yield of_host(os.getppid, lambda host: 1)
    yield of_host(socket.gethostname, lambda host: host.name)
    yield of_host(platform.node, lambda host: host.name)
    if hasattr(os, "uname"):
        system, _, *others = os.uname()
        yield of_host(os.uname, lambda host: os.uname_result((system, host.name, *others)))


def _clock(inside: Inside, real: Callable[[], Any], scale: int | None) -> Callable[[], Any]:
    def read() -> Any:
        kernel = inside()
        if kernel is None:
            return real()
        return kernel.now if scale is None else round(kernel.now * scale)

    return read


def _still(inside: Inside, real: Callable[[], Any], value: Any) -> Callable[[], Any]:
    return lambda: real() if inside() is None else value


def _by_number(number: int) -> Callable[[], int] | None:
    """What a clock of `time.clock_gettime` shows in a world, in nanoseconds; None for one that there is not."""
    name = next((name for name, value in vars(time).items() if name.startswith("CLOCK_") and value == number), None)
    if name is None:
        return None
    if name in _TIMES_OF_DAY:
        return time.time_ns
    return (lambda: 0) if name in _OF_PROCESSORS else time.monotonic_ns


def _clock_gettime(inside: Inside, real: Callable[[int], Any], made: Callable[[int], Any]) -> Callable[[int], Any]:
    def read(number: int) -> Any:
        clock = None if inside() is None else _by_number(number)
        return real(number) if clock is None else made(clock())

    return read


def _times(inside: Inside, real: Callable[[], os.times_result]) -> Callable[[], os.times_result]:
    def read() -> os.times_result:
        kernel = inside()
        return real() if kernel is None else os.times_result((0.0, 0.0, 0.0, 0.0, kernel.now))

    return read
