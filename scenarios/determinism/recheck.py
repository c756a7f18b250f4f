"""What `verify` does about determinism: the first seeds of each scenario once more, and where the two runs part.

The second run is in a fresh process, which imports everything anew and has a hash seed of its own, and in the opposite order
of scenarios and seeds. So what comes out otherwise is whatever rests on real time, on entropy, on the order of sets, on
addresses in memory, or on what earlier worlds left behind. It runs beside the first one, in a process for all scenarios.

Where the environment fixes `PYTHONHASHSEED` and the two part, a third run has that very hash seed: if it agrees with the
first, verdicts count, for that order of sets alone, and the results say so. Where nothing fixes it, two further processes
tell whether the hash seed is what parts them, so that whoever reads of it knows what to do.

That both agree proves nothing for other seeds, nor for a source that seldom shows: `relaysim doctor` looks longer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from relaysim.reports.determinism import HASH_ORDER
from relaysim.reports.results import doctor_command
from relaysim.scenarios.determinism.fresh_process import Ending, FreshProcess, FreshProcessError, Job, WorldToRun
from relaysim.scenarios.determinism.traces import first_difference
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.runner import Lane

SEEDS: Final = 3
"""How many seeds of each scenario are run again."""

HERE, THERE = "this run", "the fresh process"

_YET_ANOTHER_HASH_SEED: Final = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario whose first seeds are to be run again: in which lane, and how many."""

    scenario: Scenario
    lane: Lane
    seeds: int


class Partings(NamedTuple):
    """Where runs of the same seed part, at most once a scenario: plain data.

    Attributes:
        not_deterministic: under equal conditions, or under other hash seeds and no one is fixed: nothing can be trusted.
        hash_order: under another hash seed than the one that the environment fixes, and not under that one.
    """

    not_deterministic: Sequence[dict[str, Any]] = ()
    hash_order: Sequence[dict[str, Any]] = ()


@dataclass(slots=True)
class Recheck:
    """The second run of the first seeds, which begins at once. A context manager, which ends its process."""

    planned: Sequence[Planned]
    _process: FreshProcess | None = None
    _traces: dict[str, Mapping[int, bytes]] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _is_read: bool = False

    def __enter__(self) -> Self:
        job = self._job(another_hash_seed())
        if job.worlds:
            self._process = FreshProcess(job)
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

    def measured(self) -> dict[str, float]:
        """What a world of each scenario took in the other process, in seconds, once that has ended: by scenarios' names.

        Its first world says nothing, see `Ending`.
        """
        if self._is_read or self._process is None or not self._process.is_over():
            return self._seconds
        self._is_read = True
        try:
            endings = self._process.endings()[1:]
        except FreshProcessError:
            return {}  # told by `partings`
        for place, plan in enumerate(self.planned):
            took = [each.seconds for each in endings if each.world.scenario == place and not each.error]
            if took:
                self._seconds[plan.scenario.name] = sum(took) / len(took)
        return self._seconds

    def partings(self, timeout_seconds: float | None = None) -> Partings:
        """Where the two runs part. Waits for the other process, and for others if they do.

        Raises:
            FreshProcessError: if one ends without results, or not in time.
        """
        if self._process is None:
            return Partings()
        endings = self._process.endings(timeout_seconds)
        found = self._compared(endings)
        if not found:
            return Partings()
        fixed = fixed_hash_seed()
        if fixed is None:
            parted = (found[0]["scenario"], found[0]["seed"])
            first = next(
                each for each in endings if (self.planned[each.world.scenario].scenario.name, each.world.seed) == parted
            )
            if not first.error and self._rests_on_hash_seed(first, timeout_seconds):
                found[0]["source"] = HASH_ORDER
            return Partings(found)
        with FreshProcess(self._job(fixed)) as process:
            again = self._compared(process.endings(timeout_seconds))
        return Partings(again) if again else Partings(hash_order=[{**each, "hash_seed": fixed} for each in found])

    def _job(self, hash_seed: int) -> Job:
        """All the worlds, in the opposite order of scenarios and seeds."""
        worlds = [
            WorldToRun(place, plan.lane, seed)
            for place, plan in reversed(list(enumerate(self.planned)))
            for seed in reversed(range(plan.seeds))
        ]
        return Job([plan.scenario.to_json() for plan in self.planned] if worlds else [], worlds, hash_seed=hash_seed)

    def _compared(self, endings: Sequence[Ending]) -> list[dict[str, Any]]:
        """Where another process' worlds part from this run's."""
        found = {}
        for ending in endings:
            plan = self.planned[ending.world.scenario]
            parting = _parting(plan, ending, self._traces[plan.scenario.name][ending.world.seed])
            if parting is not None:  # seeds come in falling order: the smallest one stays
                found[plan.scenario.name] = parting
        names = [plan.scenario.name for plan in self.planned]
        return [found[name] for name in names if name in found]

    def _rests_on_hash_seed(self, ending: Ending, timeout_seconds: float | None) -> bool:
        """Whether a world comes out the same in another process with the hash seed of the second run, and otherwise with one
        more."""
        place, lane, seed = ending.world
        scenario = self.planned[place].scenario.to_json()
        with ExitStack() as stack:
            processes = [
                stack.enter_context(FreshProcess(Job([scenario], [WorldToRun(0, lane, seed)], hash_seed=each)))
                for each in (another_hash_seed(), _YET_ANOTHER_HASH_SEED)
            ]
            (same,), (other,) = (process.endings(timeout_seconds) for process in processes)
        if same.error or other.error:
            return False
        return first_difference(ending.trace, same.trace) is None is not first_difference(ending.trace, other.trace)


def same_again(results: Mapping[str, Any], planned: Sequence[Planned]) -> dict[str, Any]:
    """What `timing.json` says: of how many scenarios how many seeds were run again, and which parted."""
    checked = [plan for plan in planned if plan.seeds]
    return {
        "scenarios": len(checked),
        "worlds": sum(plan.seeds for plan in checked),
        "parted": [parting["scenario"] for parting in results.get("not_deterministic", ())],
        "by_hash_seed": [parting["scenario"] for parting in results.get("hash_order", ())],
    }


def another_hash_seed() -> int:
    """A `PYTHONHASHSEED` that this process does not have."""
    return 2 if os.environ.get("PYTHONHASHSEED") == "1" else 1


def fixed_hash_seed() -> int | None:
    """The `PYTHONHASHSEED` that the environment gives every process; None: each has one of its own."""
    given = os.environ.get("PYTHONHASHSEED", "")
    return int(given) if given.isascii() and given.isdecimal() else None


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
