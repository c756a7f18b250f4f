"""The test that runs: what pytest tells `relaysim.check` of it, and what `check` tells pytest of the seeds that it ran.

Without pytest no test runs, and `check` does without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class RunningTest:
    """What is known of a test while it runs.

    Attributes:
        folders: where modules and scenario files are looked for besides the current directory.
        only_seeds: the seeds that the command line asks for; None: it asks for none.
        seed_count: how many seeds it asks for, in place of a number that a test or a file gives; None: it does not.
        known: the seeds that failed once, by what was checked (see `checked_key`).
        has_own_seed: the test is one of many, each with a seed of its own: pytest knows how that one went.
        ran: what was checked -> each seed that was run or failed -> whether it failed.
        counts: what was checked -> how many seeds were run, and how many of them failed: more than those that `ran` names
            where many did.
    """

    folders: Sequence[Path] = ()
    only_seeds: tuple[int, ...] | None = None
    seed_count: int | None = None
    known: Mapping[str, Sequence[int]] = field(default_factory=dict)
    has_own_seed: bool = False
    ran: dict[str, dict[int, bool]] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, key: str, seeds: Sequence[int], failing: Sequence[int], failures: int) -> None:
        """These seeds were run, and so many failed, first of all these. Of those that passed only the known ones are worth a
        note."""
        told = self.ran.setdefault(key, {})
        known = set(self.known.get(key, ()))
        for seed in seeds:
            if seed in known:
                told[seed] = False
        for seed in failing:
            told[seed] = True
        self.counts[key] = max((len(seeds), failures), self.counts.get(key, (0, 0)))


def checked_key(scenario: str, factory: str | None, sets: Sequence[str] = ()) -> str:
    """What stands for one `check` of a test, the same in every run: its scenario, its relay, and what was set."""
    return " ".join([scenario, *([] if factory is None else [factory]), *sorted(sets)])


_current: list[RunningTest] = []


def running_test() -> RunningTest | None:
    """The test that runs in this process; None: none does."""
    return _current[-1] if _current else None


def begin(test: RunningTest) -> None:
    """This test runs from now on."""
    _current.append(test)


def end(test: RunningTest) -> None:
    """It does not any more."""
    _current.remove(test)
