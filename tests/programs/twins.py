"""The Express bot from outside and its Python twin in virtual time, in the same circumstances: do they fare alike?

    python -m tests.programs.twins [CIRCUMSTANCE ...] [--messages 300] [--parallel 8] [--out FILE]

Prints, for each circumstance, how many messages each had, and for each thing that is counted both rates, the interval of
each, and how likely so large a difference is if there is none. Run it with the Python of the project's environment; it
takes some five minutes for each circumstance, nearly all of it waiting.

Messages of one world share its draws, so worlds are what is resampled: intervals are those of a bootstrap over worlds, at
95 %; where nothing was counted, the bound is that of Clopper and Pearson over worlds with and without the event. The
likelihood is that of a permutation of worlds between the two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from relaysim.reports.statistics import clopper_pearson
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.outside.config import read_config
from relaysim.scenarios.outside.trials import Trials
from relaysim.sim.world import Session, run_world
from tests.programs.node_programs import HERE, installed

ALPHA = 0.05
RESAMPLES = 10_000
COUNTED = (
    "succeeded",
    "lost",
    "generic_failure",
    "duplicate_reply",
    "out_of_order",
    "apology_despite_cover",
    "transparency_breaches",
)

JOINED_BY_WORDS = ("lost", "duplicate_reply", "out_of_order")
"""Of those, what is seen from outside as it is from inside. Whom an apology was for is not: where a customer also has a
message that was never answered, it is taken to be for that, so that `apology_despite_cover`, and what adds it up, is too
low."""

CIRCUMSTANCES: Mapping[str, Sequence[str]] = {
    "bursts": (),
    "stuck": ("profile_overrides.stuck_probability=0.2",),
    "errors": (
        "faults=[{ kind = 'status', status = 500, route = 'messages.create', probability = 0.5 },"
        " { kind = 'status', status = 429, retry_after_seconds = 2, route = 'runs.create', probability = 0.3 },"
        " { kind = 'truncated', route = 'runs.retrieve', probability = 0.03 }]",
    ),
    "latency": ("profile_overrides.request_seconds={ kind = 'lognormal', median = 1.5, p99 = 6.0 }",),
    "repeated": (
        "workload.duplicate_probability=0.5",
        "workload.redelivery_seconds={ kind = 'uniform', low = 0.5, high = 6.0 }",
    ),
    "sends": (
        "send_faults=[{ kind = 'unknown_delivered', probability = 0.1, seconds = 3 },"
        " { kind = 'unknown_lost', probability = 0.1, seconds = 3 }, { kind = 'refused', probability = 0.1 }]",
    ),
}
"""What differs from twins.toml, which is the first of them."""


class Seen(NamedTuple):
    """What one of the two showed: a row for each world, its messages first and then what is counted."""

    rows: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def messages(self) -> int:
        """All of them."""
        return int(self.rows[:, 0].sum())

    def rate(self, index: int) -> float:
        """How many times this happened per message."""
        return float(self.rows[:, index].sum() / self.messages)

    def interval(self, index: int) -> tuple[float, float]:
        """The rate's interval at 95 %."""
        events, messages = self.rows[:, index], self.rows[:, 0]
        if not events.any() or (events == messages).all():
            low, high = clopper_pearson(int((events > 0).sum()), len(events), ALPHA)
            return float(low), float(high)
        drawn = np.random.default_rng(1).integers(len(events), size=(RESAMPLES, len(events)))
        rates = events[drawn].sum(axis=1) / messages[drawn].sum(axis=1)
        low, high = np.quantile(rates, (ALPHA / 2, 1 - ALPHA / 2))
        return float(low), float(high)


class Compared(NamedTuple):
    """One thing that is counted, of the bot from outside and of its twin."""

    event: str
    rates: tuple[float, float]
    intervals: tuple[tuple[float, float], tuple[float, float]]
    likelihood: float

    @property
    def overlaps(self) -> bool:
        """Whether the intervals do."""
        (low, high), (other_low, other_high) = self.intervals
        return low <= other_high and other_low <= high


def scenario_of(circumstance: str, app: str | None) -> Scenario:
    """The circumstance, for a web application or for a program."""
    return load(str(HERE / "twins.toml"), CIRCUMSTANCES[circumstance], app, option="--app", check_relay=False)


def see_twin(circumstance: str, worlds: int) -> Seen:
    """The twin in virtual time."""
    with chdir(HERE), _importable(HERE), Session():
        scenario = scenario_of(circumstance, "express_twin:app")
        settings = scenario.world_settings()
        return _seen(
            worlds,
            lambda seed: run_world(settings, root_seed=scenario.root_seed, seed=seed, lane="sdk").observation,
        )


def see_program(circumstance: str, worlds: int, parallel: int) -> Seen:
    """The bot in real time."""
    folder = installed("express_bot")
    with chdir(folder):
        config = read_config(Path("relaysim.toml")).changed(parallel=parallel)
        scenario = scenario_of(circumstance, None)
        settings = scenario.world_settings()
        with Trials(config, worlds) as trials:
            observe = trials.observe_of(scenario.name)
            return _seen(worlds, lambda seed: observe(settings, scenario.root_seed, seed, scenario.lane))


def compare(one: Seen, other: Seen) -> list[Compared]:
    """All that is counted."""
    return [
        Compared(
            event,
            (one.rate(index), other.rate(index)),
            (one.interval(index), other.interval(index)),
            _likelihood(one, other, index),
        )
        for index, event in enumerate(COUNTED, 1)
    ]


def _seen(worlds: int, observe: Callable[[int], Mapping[str, Any]]) -> Seen:
    rows = []
    for seed in range(worlds):
        counts = observe(seed)["counts"]
        assert counts["messages"], f"nobody wrote anything in world {seed}"
        rows.append([counts["messages"], *(counts[event] for event in COUNTED)])
    return Seen(np.array(rows))


def _likelihood(one: Seen, other: Seen, index: int) -> float:
    """How often worlds that are dealt anew differ as much as these, or more."""
    rows = np.concatenate([one.rows, other.rows])
    events, messages, first = rows[:, index], rows[:, 0], len(one.rows)
    difference = abs(one.rate(index) - other.rate(index))
    generator = np.random.default_rng(2)
    as_large = 0
    for _ in range(RESAMPLES // 5):
        order = generator.permutation(len(rows))
        left, right = order[:first], order[first:]
        dealt = events[left].sum() / messages[left].sum() - events[right].sum() / messages[right].sum()
        as_large += abs(dealt) >= difference - 1e-12
    return float((as_large + 1) / (RESAMPLES // 5 + 1))


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 if intervals of something are apart that is joined by words."""
    parser = argparse.ArgumentParser(description="Compare the Express bot with its Python twin.")
    parser.add_argument("circumstances", nargs="*", metavar="CIRCUMSTANCE", help=f"of {', '.join(CIRCUMSTANCES)}")
    parser.add_argument("--messages", type=int, default=300, help="so many at least from outside; by default 300")
    parser.add_argument("--parallel", type=int, default=8, help="worlds at once; by default 8")
    parser.add_argument("--out", type=Path, help="also write the rows of all worlds there, as JSON")
    given = parser.parse_args(arguments)
    kept: dict[str, Any] = {}
    apart = 0
    for circumstance in given.circumstances or CIRCUMSTANCES:
        program = see_program(circumstance, worlds_for(given.messages), given.parallel)
        twin = see_twin(circumstance, 4 * len(program.rows))
        compared = compare(program, twin)
        apart += sum(each.event in JOINED_BY_WORDS and not each.overlaps for each in compared)
        show(circumstance, program, twin, compared)
        kept[circumstance] = {"program": program.rows.tolist(), "twin": twin.rows.tolist()}
        if given.out is not None:
            given.out.write_text(json.dumps(kept), "utf-8")
    return 1 if apart else 0


def show(circumstance: str, program: Seen, twin: Seen, compared: Sequence[Compared]) -> None:
    """Print both, a line for each thing that is counted."""
    print(f"\n{circumstance}: {program.messages} messages from outside, {twin.messages} of the twin")
    for each in compared:
        shown = " | ".join(
            f"{rate:6.1%} ({low:6.1%} to {high:6.1%})"
            for rate, (low, high) in zip(each.rates, each.intervals, strict=True)
        )
        print(f"  {each.event:<22} {shown}  {each.likelihood:.2f}{'' if each.overlaps else '  apart'}", flush=True)


def worlds_for(messages: int) -> int:
    """How many worlds have so many messages: 8.8 each, by the scenario's draws."""
    return max(1, -(-messages // 8))


if __name__ == "__main__":
    sys.exit(main())
