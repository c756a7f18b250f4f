"""`python -m tests.benchmarks.telemetry`: what the relay's telemetry costs, per event and metric, and at import.

CPU time, in interleaved rounds, as everywhere in these benchmarks. Imports are measured in processes of their own.
"""

from __future__ import annotations

import logging
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from relaysim.relay import Outcome
from relaysim.relay.telemetry import Telemetry
from tests.benchmarks.measure import Timing, children_cpu_seconds, interleave

GOAL_EVENT_MICROSECONDS = 15.0
GOAL_METRIC_MICROSECONDS = 3.0
GOAL_IMPORT_SECONDS = 0.3

CALLS = 2_000
"""In each round."""

IMPORTS = ("openai", "relaysim.relay")


class _Nowhere(logging.Handler):
    """Takes a line as far as its text, which is what a handler does before it writes."""

    def handle(self, record: logging.LogRecord) -> bool:
        record.getMessage()
        return True


@contextmanager
def _logging_to_nowhere() -> Iterator[None]:
    logger, handler = logging.getLogger("relay"), _Nowhere()
    before, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagates


def _repeated(call: Callable[[], object]) -> Callable[[], int]:
    def work() -> int:
        for _ in range(CALLS):
            call()
        return CALLS

    return work


def calls(rounds: int) -> dict[str, Any]:
    """What one event and one metric cost."""
    loud = Telemetry()
    quiet = loud.quiet()
    line = logging.getLogger("relay")
    contenders: dict[str, tuple[Any, Callable[[], object]]] = {
        "a plain line of logging, for comparison": (_logging_to_nowhere, lambda: line.info("run %s ended", "run_1")),
        "event: lease_taken": (_logging_to_nowhere, lambda: loud.lease_taken("customer 1", 7, "accept")),
        "event: conflict": (_logging_to_nowhere, lambda: loud.conflict("customer 1", "foreign", "run_1")),
        "event below the logger's level": (None, lambda: loud.lease_taken("customer 1", 7, "accept")),
        "metric: counter": (None, lambda: quiet.accepted("customer 1")),
        "metric: counter with a label": (None, lambda: quiet.conflict("customer 1", "foreign", "run_1")),
        "metric: counter with two labels": (None, lambda: quiet.cancel("customer 1", "run_1", "own", True)),
        "metrics: two counters and a histogram": (None, lambda: quiet.outcome("customer 1", Outcome.ANSWERED, 12.5)),
    }
    logging.getLogger("relay").setLevel(logging.WARNING)
    try:
        timings = interleave(
            {
                name: _repeated(call) if around is None else (around, _repeated(call))
                for name, (around, call) in contenders.items()
            },
            rounds,
        )
    finally:
        logging.getLogger("relay").setLevel(logging.NOTSET)
    print(f"Telemetry, microseconds per call, {rounds} rounds of {CALLS} calls: median (least - greatest)")
    for name, timing in timings.items():
        print(f"  {name:50}{_micro(timing):8.2f}  ({_micro(timing, max):.2f} - {_micro(timing, min):.2f})")
    _verdict("an event", _micro(timings["event: lease_taken"]), GOAL_EVENT_MICROSECONDS, "us")
    _verdict("a metric", _micro(timings["metric: counter with a label"]), GOAL_METRIC_MICROSECONDS, "us")
    print()
    return {
        "timings": {name: timing.as_dict() for name, timing in timings.items()},
        "goal_event_microseconds": GOAL_EVENT_MICROSECONDS,
        "goal_metric_microseconds": GOAL_METRIC_MICROSECONDS,
    }


def _micro(timing: Timing, pick: Callable[[list[float]], float] = statistics.median) -> float:
    return 1e6 / pick(timing.per_cpu_second)


def imports(rounds: int) -> dict[str, Any]:
    """What `import relaysim.relay` costs over `import openai`, which it needs anyway."""
    seconds: dict[str, list[float]] = {module: [] for module in IMPORTS}
    for number in range(-1, rounds):  # the first round warms the file cache and compiles
        for module in IMPORTS if number % 2 else reversed(IMPORTS):
            before = children_cpu_seconds()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            if number >= 0:
                seconds[module].append(children_cpu_seconds() - before)
    more = [relay - openai for relay, openai in zip(seconds["relaysim.relay"], seconds["openai"], strict=True)]
    ratios = [relay / openai for relay, openai in zip(seconds["relaysim.relay"], seconds["openai"], strict=True)]
    print(f"Imports in a process of their own, CPU seconds, {rounds} rounds: median (least - greatest)")
    for name, found in (*((f"import {module}", seconds[module]) for module in IMPORTS), ("relay over openai", more)):
        print(f"  {name:50}{statistics.median(found):8.3f}  ({min(found):.3f} - {max(found):.3f})")
    print(f"  -> ratio relay / openai: {statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})")
    _verdict("relay over openai", statistics.median(more), GOAL_IMPORT_SECONDS, "s")
    print()
    return {"cpu_seconds": seconds, "ratio_median": statistics.median(ratios), "goal_over_openai": GOAL_IMPORT_SECONDS}


def _verdict(what: str, figure: float, goal: float, unit: str) -> None:
    print(f"  -> {what}: {figure:.2f} {unit}   goal at most {goal:g}: {'reached' if figure <= goal else 'missed'}")


if __name__ == "__main__":
    calls(30)
    imports(10)
