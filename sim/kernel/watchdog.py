"""A watchdog in real time over code under test, which may never give control back.

Virtual time has limits of its own (`Kernel.run(until=...)`, steps per instant). They help only where code comes back to its
loop; a loop that awaits nothing, a factory that waits for a lock or a list that grows for ever does not. While a section
is under watch (a world, or an import), a thread looks once in a while and gives the section up if

- its clock has stood still for `patience` seconds of this process' processor time, so that a busy machine changes nothing;
- its clock has stood still for as many seconds of real time in which this process did nothing at all;
- it has taken `WHOLE_WORLD` times as much processor time altogether, as polling every virtual microsecond would;
- the process has grown by more than `GROWTH_BYTES_MIN` and has half of the machine's memory, or next to none of it is free.

Giving up raises `Interruption` in the code under test, at the line where it is; the place is part of the message. Code that
catches even this is interrupted again, and then the process ends, after a line that says so: no verdict is better than a
wait without an end. Code that never lets the interpreter look (some loops within C) is ended by a timer of the operating
system, and `faulthandler` tells where it was. What a healthy section does, and how long it takes, is not changed.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from time import process_time
from types import FrameType
from typing import Any, Final, Protocol

from relaysim.sim.kernel.source_places import place_of_frame

PATIENCE_VARIABLE: Final = "RELAYSIM_PATIENCE"
"""The environment variable with the patience, which processes that are started inherit."""

PATIENCE_SECONDS: Final = 30.0
WHOLE_WORLD: Final = 20
"""A whole section may take so many times the patience."""

GROWTH_BYTES_MIN: Final = 2**30
EXIT_GIVEN_UP: Final = 2
"""How a process ends whose code under test could not be stopped."""

_LOOK_SECONDS: Final = 1.0
_IDLE_SECONDS: Final = 0.002
"""Processor time per look below which a process does nothing; the look itself takes a hundredth of it."""

_INTERRUPTIONS_MAX: Final = 3


class Interruption(KeyboardInterrupt):
    """Raised in code under test that is given up. A KeyboardInterrupt, since asyncio lets those out at once."""


class Clock(Protocol):
    """A section's virtual clock (a `simpy.Environment`)."""

    @property
    def now(self) -> float: ...


Fail = Callable[[BaseException], None]


def patience_from_environment() -> float:
    """Seconds that a section's clock may stand still; 0: for ever."""
    try:
        return max(0.0, float(os.environ.get(PATIENCE_VARIABLE, "")))
    except ValueError:
        return PATIENCE_SECONDS


class Watchdog:
    """The one watchdog of this process. A context manager, which may be entered again inside itself.

    Attributes:
        interrupted: how often the user has interrupted (SIGINT) the present section.
        crash_notes: where the reason is written if the process must be ended: a file descriptor.
        explanation: why and where the present section was given up, "" if it was not.
    """

    # Kept here, where neither the fence nor code under test replaces them.
    _exit = staticmethod(os._exit)
    _set_timer: Callable[[int, float], Any] = staticmethod(getattr(signal, "setitimer", lambda which, seconds: None))

    def __init__(self) -> None:
        self.interrupted = 0
        self.crash_notes = 2
        self.explanation = ""
        self.patience = PATIENCE_SECONDS
        self._depth = 0
        self._thread: threading.Thread | None = None
        self._owner = 0  # the thread that runs the sections
        self._handlers: dict[int, Any] = {}
        self._number = 0  # of the present section, 0 for none
        self._sections = 0
        self._clock: Clock | None = None
        self._fail: Fail | None = None
        self._reason = ""
        self._given_up = 0
        self._seen = (0, 0.0)
        self._moved_at = self._began_at = self._looked_at = 0.0
        self._idle = 0
        self._bytes_at_begin = 0
        self._ask = 0.0  # processor time at which to interrupt once more

    # Installing

    def __enter__(self) -> Watchdog:
        self._depth += 1
        if self._depth > 1:
            return self
        self.patience = patience_from_environment()
        self._owner = get_ident()
        self._bytes_at_begin = resident_bytes()
        if threading.current_thread() is threading.main_thread():
            self._handle_signals()
        if self.patience:
            self._stopped = threading.Event()
            arguments = (self._stopped, min(_LOOK_SECONDS, self.patience / 5))
            self._thread = threading.Thread(target=self._watch, args=arguments, name="watchdog", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        if self._thread is not None:
            self._stopped.set()
            self._thread.join()
            self._thread = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if signal.SIGURG in self._handlers:
            faulthandler.unregister(signal.SIGVTALRM)
        self._handlers = {}

    def _handle_signals(self) -> None:
        """Take the signal by which the thread interrupts (one that does nothing by itself), and the user's."""
        if sys.platform != "win32" and signal.getsignal(signal.SIGURG) in (signal.SIG_DFL, signal.SIG_IGN):
            self._handlers[signal.SIGURG] = signal.signal(signal.SIGURG, self._interrupt)
            faulthandler.register(signal.SIGVTALRM, file=self.crash_notes, all_threads=False, chain=True)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupted_by_user)

    @property
    def owns_interrupts(self) -> bool:
        """Whether `interrupted` counts every interrupt of the user's; else code under test may have raised it."""
        return signal.SIGINT in self._handlers or signal.getsignal(signal.SIGINT) == signal.SIG_IGN

    # Sections

    def begin(self, clock: Clock | None, fail: Fail | None) -> tuple[Any, ...]:
        """A section begins in this thread; what is returned is for `end`.

        Args:
            clock: whose standing still is noticed; None: no time passes in it.
            fail: takes the error, should the code under test swallow it.
        """
        outer = (self._number, self._clock, self._fail, self.explanation, self._given_up)
        self._clock, self._fail, self.explanation, self._given_up = clock, fail, "", 0
        if not self._number:
            self.interrupted = 0
        self._sections += 1
        self._number = self._sections
        self._set_last_timer(2 * self.patience + 10)
        return outer

    def end(self, outer: tuple[Any, ...]) -> None:
        """The section is over; the one around it goes on."""
        self._number, self._clock, self._fail, self.explanation, self._given_up = outer
        if not self._number:
            self._set_last_timer(0.0)

    @property
    def in_section(self) -> bool:
        """Whether this thread runs code under watch."""
        return self._number > 0 and get_ident() == self._owner

    # In the thread

    def _watch(self, stopped: threading.Event, seconds: float) -> None:
        while not stopped.wait(seconds):
            if self._number:
                self._look(seconds)

    def _look(self, seconds: float) -> None:
        number, clock = self._number, self._clock
        state = (number, 0.0 if clock is None else clock.now)
        del clock  # the world's end must not be up to this thread
        spent = process_time()
        used, self._looked_at = spent - self._looked_at, spent
        if state != self._seen:
            if number != self._seen[0]:
                self._began_at = spent
                self._ask = 0.0
            self._seen, self._moved_at, self._idle = state, spent, 0
        else:
            self._idle = self._idle + 1 if used < _IDLE_SECONDS else 0
        if self._number == number:
            self._set_last_timer(2 * self.patience + 10)
        reason = self._wrong(spent, seconds)
        if reason and spent >= self._ask and self._number == number:
            if used >= _IDLE_SECONDS:
                self._ask = spent + self.patience / 5
            self._idle = int(0.8 * self._idle)
            self._give_up(reason)

    def _wrong(self, spent: float, seconds: float) -> str:
        patience = self.patience
        if spent - self._moved_at > patience:
            return f"has run for {patience:g} s of processor time without letting virtual time pass"
        if self._idle * seconds > patience:
            return f"has waited for {patience:g} s of real time for something that is not simulated"
        if spent - self._began_at > WHOLE_WORLD * patience:
            return f"is in a world that has taken {WHOLE_WORLD * patience:g} s of processor time"
        size = resident_bytes()
        if size - self._bytes_at_begin > GROWTH_BYTES_MIN and size > memory_bytes_max():
            return f"is in a process that has grown to {size / 1e9:.1f} GB of memory"
        return ""

    def _give_up(self, reason: str) -> None:
        self._given_up += 1
        self._reason = reason
        if signal.SIGURG in self._handlers and self._given_up <= _INTERRUPTIONS_MAX:
            signal.pthread_kill(self._owner, signal.SIGURG)
        else:
            self._end(sys._current_frames().get(self._owner))

    def _end(self, frame: FrameType | None) -> None:
        """End the process: the code under test cannot be stopped in any other way."""
        os.write(self.crash_notes, f"relaysim: {self._sentence(frame)}, and cannot be stopped\n".encode())
        self._exit(EXIT_GIVEN_UP)

    def _set_last_timer(self, seconds: float) -> None:
        """Let the operating system end this process after so much processor time, or (0) not."""
        if self.patience and signal.SIGURG in self._handlers:
            self._set_timer(signal.ITIMER_VIRTUAL, seconds)

    def _sentence(self, frame: FrameType | None) -> str:
        return f"{place_of_frame(frame) or 'the relay'} {self._reason}"

    # In the thread that runs the sections

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._number or not self._given_up:
            return  # it has ended meanwhile
        self.explanation = self._sentence(frame)
        error = Interruption(self.explanation)
        if self._fail is not None:
            self._fail(error)
        raise error

    def _interrupted_by_user(self, number: int, frame: FrameType | None) -> None:
        self.interrupted += 1
        if self.interrupted > _INTERRUPTIONS_MAX:  # whatever is running catches everything
            self._exit(130)
        error = KeyboardInterrupt()
        if self._number and self._fail is not None:
            self._fail(error)
        raise error


WATCHDOG: Final = Watchdog()


def resident_bytes() -> int:
    """The memory of this process, 0 where the system does not tell."""
    try:
        with Path("/proc/self/statm").open("rb", buffering=0) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def memory_bytes_max() -> float:
    """More than this no process may have: half of the machine's memory, or nothing more once nearly all of it is taken."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        sizes = dict(line.split(":", 1) for line in lines)
        total, available = (int(sizes[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return float("inf")
    return total / 2 if available > total / 20 else 0.0
