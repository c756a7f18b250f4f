"""Virtual clocks for plain code in one thread, outside every simulated host.

The fence (`relaysim.sim.kernel.fence`) is for code that runs inside a world: it refuses whatever would leave it. A test
is not inside. It opens sockets and starts threads as it likes; only its waits should cost nothing, and its clocks should
agree with them: `while time.monotonic() < deadline: time.sleep(1)` has to end.

While a `ThreadClock` is held, for the thread that entered it:

| called                                                    | becomes                                            |
|-----------------------------------------------------------|----------------------------------------------------|
| `time.sleep`                                              | virtual time passes                                |
| `time.monotonic`, `time.perf_counter` and their _ns forms | virtual seconds since the world's start            |
| `time.time`, `datetime.now`, `time.localtime`, ...        | virtual time from `EPOCH_SECONDS`, in UTC          |

Names bound early (`from time import sleep`) are replaced in every loaded module. Other threads see the real thing, and
so do the modules of `REAL` in every thread: they wait in earnest, for threads, sockets and processes, and would never see
the end of a timeout on a clock that stands still; or they time tests.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from threading import get_ident
from types import TracebackType
from typing import Any, Final, Self

import time_machine

from relaysim.sim.kernel import EPOCH_SECONDS, Fence
from relaysim.sim.kernel.fence import replace_names

REAL: Final = frozenset(
    {
        "_pytest",
        "anyio",
        "asyncio",
        "concurrent",
        "coverage",
        "execnet",
        "hypothesis",
        "multiprocessing",
        "pluggy",
        "pytest",
        "queue",
        "selectors",
        "socket",
        "socketserver",
        "ssl",
        "subprocess",
        "threading",
        "trio",
        "uvloop",
        "xdist",
    }
)
"""Top-level modules whose own clocks and sleeps stay real; modules named `pytest_...` and the simulator's own too."""

_EPOCH_NANOSECONDS: Final = EPOCH_SECONDS * 1_000_000_000


class ThreadClock:
    """Lets this thread's plain code live in virtual time, for the length of a `with` block. One at a time.

    Args:
        now: virtual seconds since the world's start.
        advance: lets so many virtual seconds pass.
        busy: whether a world's own code is running now in this thread; its clocks are the fence's.

    Raises:
        RuntimeError: on entering, if another one is held.
    """

    def __init__(self, now: Callable[[], float], advance: Callable[[float], object], busy: Callable[[], bool]) -> None:
        self.now = now
        self.advance = advance
        self.busy = busy
        self.thread = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        global _held
        if _held is not None:
            raise RuntimeError("virtual clocks for plain code are in use already: one simulation at a time")
        for name in _SUBSTITUTES:  # left behind by whoever saved it and put it back too late (a monkeypatch)
            if time.__dict__[name] is _SUBSTITUTES[name]:
                time.__dict__[name] = _ORIGINALS[name]
        with ExitStack() as stack:
            stack.enter_context(Fence())
            stack.callback(_replace_names())
            stack.callback(_push_traveller())
            self._stack = stack.pop_all()
        self.thread = get_ident()
        _held = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _held
        _held = None
        self._stack.close()


_held: ThreadClock | None = None


def _virtual() -> ThreadClock | None:
    """The clock of the code that called the caller of this function; None: the real one, or the fence's."""
    clock = _held
    if clock is None or get_ident() != clock.thread or clock.busy():
        return None
    return None if _stays_real(sys._getframe(2).f_globals.get("__name__") or "") else clock


@cache
def _stays_real(module: str) -> bool:
    top, _, _ = module.partition(".")
    return top in REAL or top.startswith("pytest_") or module.startswith("relaysim.sim.")


# Each of them is one function for ever: a module that is imported meanwhile may keep it beyond the end of the block, and
# has virtual time again within the next one.


def _sleep(seconds: float, /) -> None:
    __tracebackhide__ = True
    clock = _virtual()
    if clock is None:
        _beneath["sleep"](seconds)
        return
    duration = 0.0 + seconds  # as picky as the real one: a text raises a TypeError
    if not duration >= 0:
        raise ValueError("sleep length must be non-negative")
    clock.advance(duration)


def _monotonic() -> float:
    clock = _virtual()
    return _beneath["monotonic"]() if clock is None else clock.now()


def _monotonic_ns() -> int:
    clock = _virtual()
    return _beneath["monotonic_ns"]() if clock is None else round(clock.now() * 1e9)


def _perf_counter() -> float:
    clock = _virtual()
    return _beneath["perf_counter"]() if clock is None else clock.now()


def _perf_counter_ns() -> int:
    clock = _virtual()
    return _beneath["perf_counter_ns"]() if clock is None else round(clock.now() * 1e9)


_SUBSTITUTES: Final[dict[str, Callable[..., Any]]] = {
    "sleep": _sleep,
    "monotonic": _monotonic,
    "monotonic_ns": _monotonic_ns,
    "perf_counter": _perf_counter,
    "perf_counter_ns": _perf_counter_ns,
}
_ORIGINALS: Final[dict[str, Callable[..., Any]]] = {name: getattr(time, name) for name in _SUBSTITUTES}
_beneath: Final = dict(_ORIGINALS)  # while a clock is held: the fence's


def _replace_names() -> Callable[[], None]:
    """Put the substitutes in place of what the fence has put there; returns how to undo it."""
    replacements: dict[int, tuple[object, object]] = {}
    for name, substitute in _SUBSTITUTES.items():
        fenced = time.__dict__[name]
        _beneath[name] = fenced
        replacements[id(fenced)] = (fenced, substitute)
    restore = replace_names(replacements)

    def undo() -> None:
        restore()
        _beneath.update(_ORIGINALS)

    return undo


class _Traveller(time_machine.Traveller):
    """What the patched `time.time` and its relatives ask: the topmost traveller, this one, or the one beneath."""

    def __init__(self, beneath: time_machine.Traveller) -> None:
        super().__init__(0, None, tick=False)
        self._beneath = beneath

    def time_ns(self) -> int:
        clock = _virtual()
        if clock is None:
            return self._beneath.time_ns()
        return _EPOCH_NANOSECONDS + round(clock.now() * 1e9)


def _push_traveller() -> Callable[[], None]:
    stack = time_machine.traveller_stack
    traveller = _Traveller(stack[-1])
    stack.append(traveller)

    def undo() -> None:
        if traveller in stack:
            stack.remove(traveller)

    return undo
