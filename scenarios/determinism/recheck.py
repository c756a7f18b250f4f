"""What `verify` does about determinism: the first seeds of each scenario once more, and where the two runs part.

The second run is in a fresh process, which imports everything anew and has a hash seed of its own, and in the opposite order
of scenarios and seeds. So what comes out otherwise is whatever rests on real time, on entropy, on the order of sets, on
addresses in memory, or on what earlier worlds left behind. It runs beside the first one, in a process for all scenarios.

That both agree proves nothing for other seeds, nor for a source that seldom shows: `relaysim doctor` looks longer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from relaysim.reports.results import doctor_command
from relaysim.scenarios.determinism.fresh_process import Ending, FreshProcess, Job, WorldToRun
from relaysim.scenarios.determinism.traces import first_difference
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Lane

SEEDS: Final = 3
"""How many seeds of each scenario are run again."""

HERE, THERE = "this run", "the fresh process"


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario whose first seeds are to be run again: in which lane, and how many."""

    scenario: Scenario
    lane: Lane
    seeds: int


@dataclass(slots=True)
class Recheck:
    """The second run of the first seeds, which begins at once. A context manager, which ends its process."""

    planned: Sequence[Planned]
    _process: FreshProcess | None = None
    _traces: dict[str, Mapping[int, bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        worlds = [
            WorldToRun(place, plan.lane, seed)
            for place, plan in reversed(list(enumerate(self.planned)))
            for seed in reversed(range(plan.seeds))
        ]
        if worlds:
            scenarios = [plan.scenario.to_json() for plan in self.planned]
            self._process = FreshProcess(Job(scenarios, worlds, hash_seed=another_hash_seed()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.__exit__(kind, error, traceback)

    def seeds_of(self, scenario: Scenario) -> int:
        """How many of its first seeds are run again."""
        return next((plan.seeds for plan in self.planned if plan.scenario is scenario), 0)

    def take(self, scenario: Scenario, traces: Mapping[int, bytes]) -> None:
        """The packed traces that this run's first seeds left."""
        self._traces[scenario.name] = traces

    def partings(self, timeout_seconds: float | None = None) -> list[dict[str, Any]]:
        """Where the two runs part, at most once a scenario: plain data, as results have it under `not_deterministic`.

        Waits for the other process.

        Raises:
            FreshProcessError: if that ends without results, or not in time.
        """
        if self._process is None:
            return []
        found = {}
        for ending in self._process.endings(timeout_seconds):
            plan = self.planned[ending.world.scenario]
            parting = _parting(plan, ending, self._traces[plan.scenario.name][ending.world.seed])
            if parting is not None:  # seeds come in falling order: the smallest one stays
                found[plan.scenario.name] = parting
        names = [plan.scenario.name for plan in self.planned]
        return [found[name] for name in names if name in found]


def same_again(results: Mapping[str, Any], planned: Sequence[Planned]) -> dict[str, Any]:
    """What `timing.json` says: of how many scenarios how many seeds were run again, and which parted."""
    checked = [plan for plan in planned if plan.seeds]
    return {
        "scenarios": len(checked),
        "worlds": sum(plan.seeds for plan in checked),
        "parted": [parting["scenario"] for parting in results.get("not_deterministic", ())],
    }


def another_hash_seed() -> int:
    """A `PYTHONHASHSEED` that this process does not have."""
    return 2 if os.environ.get("PYTHONHASHSEED") == "1" else 1


def _parting(plan: Planned, ending: Ending, trace: bytes) -> dict[str, Any] | None:
    lane = None if plan.lane == plan.scenario.lane else plan.lane
    parting: dict[str, Any] = {
        "scenario": plan.scenario.name,
        "seed": ending.world.seed,
        "lane": plan.lane,
        "next": doctor_command(plan.scenario.origin.replay_template(), lane),
    }
    if ending.error:
        return {**parting, "text": f"at the end: {HERE} came to it, {THERE} did not: {ending.error}"}
    difference = first_difference(trace, ending.trace)
    if difference is None:
        return None
    return {
        **parting,
        "time_seconds": difference.time_seconds,
        "entity": difference.entity,
        "records": [difference.one, difference.other],
        "text": difference.words(HERE, THERE),
    }
