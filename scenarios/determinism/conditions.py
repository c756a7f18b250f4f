"""What a fresh process finds otherwise than its twin: the real clock, the system's entropy, the environment.

Worlds read none of these: the fence stands before them. What code keeps past it (a clock in a default argument, a value read
while a module was imported, a generator made before the first world) is what these conditions bring to light.
"""

from __future__ import annotations

import datetime
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import _time_machine
import time_machine

from relaysim.sim.kernel.fence import replace_names

AHEAD_SECONDS: Final = 400 * 86_400.0 + 12_345.678
"""How far a clock that is ahead is ahead: another year, month, weekday and time of day."""

_HELD_FROM: Final = 1_800_000_000.0
"""Where a held clock begins, in seconds since 1970."""

_HELD_STEP: Final = 0.001
"""Seconds by which a held clock moves at each reading: code that waits for it to move must not wait for ever."""

CLOCKS: Final = ("monotonic", "perf_counter", "process_time", "thread_time")
"""The clocks of the module `time` that are no time of day; each has a form in nanoseconds, too."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a process finds.

    clock    real, `ahead` by `AHEAD_SECONDS`, or `held`: each reading is a number that depends on the readings before only
    entropy  real, or `held`: what the system would give at random is the same in every process
    """

    clock: Literal["real", "ahead", "held"] = "real"
    entropy: Literal["real", "held"] = "real"

    def install(self) -> None:
        """Let them hold for the rest of this process. To be called before any module of the user's is imported."""
        if self.clock != "real":
            _install_clock(held=self.clock == "held")
        if self.entropy == "held":
            _hold_entropy()


UNCHANGED: Final = Conditions()


def _install_clock(*, held: bool) -> None:
    if held:
        start = datetime.datetime.fromtimestamp(_HELD_FROM, datetime.UTC)
    else:
        start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=AHEAD_SECONDS)
    replacements: dict[int, tuple[object, object]] = {}
    for name in CLOCKS:
        real = getattr(time, name)
        moved = _counting(_HELD_FROM) if held else _ahead(real)
        replacements[id(real)] = (real, moved)
        real_ns = getattr(time, f"{name}_ns")
        replacements[id(real_ns)] = (real_ns, _in_nanoseconds(moved))
    replace_names(replacements)
    time_machine.travel(start, tick=not held).start()
    # What the fence takes for the real time of day, where libraries are loaded.
    real_time_ns = _time_machine.original_time_ns
    _time_machine.original_time_ns = (
        _in_nanoseconds(_counting(_HELD_FROM)) if held else lambda: real_time_ns() + round(AHEAD_SECONDS * 1e9)
    )


def _counting(begin: float) -> Callable[[], float]:
    count = 0

    def read() -> float:
        nonlocal count
        count += 1
        return begin + count * _HELD_STEP

    return read


def _ahead(real: Callable[[], float]) -> Callable[[], float]:
    return lambda: real() + AHEAD_SECONDS


def _in_nanoseconds(clock: Callable[[], float]) -> Callable[[], int]:
    return lambda: round(clock() * 1e9)


def _hold_entropy() -> None:
    source = random.Random(1)
    reals = [getattr(os, name) for name in ("urandom", "getrandom") if hasattr(os, name)]
    replace_names({id(real): (real, lambda size, flags=0: source.randbytes(size)) for real in reals})
    real_seed = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        real_seed(self, source.getrandbits(64) if a is None else a, version)

    random.Random.seed = seed  # type: ignore[method-assign]
    random.seed(2)


def other_environment(folder: str) -> Mapping[str, str]:
    """Variables as another machine may have them; `folder` exists, and is nobody's home yet."""
    return {
        "TZ": "Pacific/Auckland",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "HOME": folder,
        "USER": "somebody",
        "LOGNAME": "somebody",
        "HOSTNAME": "elsewhere",
        "COLUMNS": "61",
    }
