"""Measuring: rounds in which every contender runs once, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import gc
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

Work = Callable[[], int]
"""Does a portion of work and returns how many units (requests, replications, steps) that was."""

Around = Callable[[], AbstractContextManager[object]]
"""What must hold while it does, such as a session; entering and leaving it is not measured."""


@dataclass(slots=True)
class Timing:
    """One contender's rounds, in units per second."""

    per_cpu_second: list[float] = field(default_factory=list)
    per_wall_second: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle round, per second of CPU time: on a shared machine the wall clock measures the neighbours."""
        return statistics.median(self.per_cpu_second)

    def as_dict(self) -> dict[str, float | int]:
        """For the JSON file."""
        return {
            "rounds": len(self.per_cpu_second),
            "per_cpu_second_median": self.median,
            "per_cpu_second_min": min(self.per_cpu_second),
            "per_cpu_second_max": max(self.per_cpu_second),
            "per_wall_second_median": statistics.median(self.per_wall_second),
            "per_wall_second_min": min(self.per_wall_second),
            "per_wall_second_max": max(self.per_wall_second),
        }


def interleave(
    contenders: Mapping[str, Work | tuple[Around, Work]], rounds: int, *, collector: bool = False
) -> dict[str, Timing]:
    """Run every contender once per round, in an order that turns with the rounds, after one round that does not count.

    Args:
        contenders: the work of each, with what is held around it, if anything is.
        rounds: how many rounds count.
        collector: whether Python's garbage collector runs meanwhile; a session switches it off, so by default it is
            off for everybody, and garbage is collected between the measurements.
    """
    timings = {name: Timing() for name in contenders}
    names = list(contenders)
    collecting = gc.isenabled()
    try:
        for number in range(-1, rounds):
            turn = max(number, 0) % len(names)
            for name in names[turn:] + names[:turn]:
                contender = contenders[name]
                around, work = contender if isinstance(contender, tuple) else (nullcontext, contender)
                with around():
                    gc.collect()
                    (gc.enable if collector else gc.disable)()
                    wall, cpu = time.perf_counter(), time.process_time()
                    units = work()
                    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                if number >= 0:
                    timings[name].per_cpu_second.append(units / cpu)
                    timings[name].per_wall_second.append(units / wall)
    finally:
        (gc.enable if collecting else gc.disable)()
    return timings


def ratio(of: Timing, to: Timing) -> tuple[float, float, float]:
    """Median, least and greatest of the rounds' ratios; a round's two measurements lie close together in time."""
    ratios = [a / b for a, b in zip(of.per_cpu_second, to.per_cpu_second, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def children_cpu_seconds() -> float:
    """CPU time of all processes that this one has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def machine() -> dict[str, str | int]:
    """Where this runs."""
    return {
        "cpus": os.cpu_count() or 0,
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
