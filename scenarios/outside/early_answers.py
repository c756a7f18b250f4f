"""What is known while worlds are still played: real time is long, and the first of them may say enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relaysim.reports.answers import with_answer
from relaysim.reports.results import build_results
from relaysim.scenarios.model import Scenario
from relaysim.scenarios.replication_summary import Summary
from relaysim.scenarios.verdicts import judged
from relaysim.sim.counted import counted
from relaysim.sim.world import CHECKED, INVARIANTS


class EarlyAnswers:
    """Says the answer of the worlds so far: after the first one that ends, and after each look.

    Args:
        scenario: whose worlds they are.
        version: the code's.
        entries: those of the scenarios before.
        extra: what else results have.
        say: takes a line.
        clock: real seconds.
    """

    def __init__(
        self,
        scenario: Scenario,
        version: str,
        entries: Sequence[Mapping[str, Any]],
        extra: Mapping[str, Any],
        say: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scenario = scenario
        self._version = version
        self._entries = list(entries)
        self._extra = dict(extra)
        self._say = say
        self._clock = clock
        self._began = clock()
        self._has_said = False

    def hear_of_world(self, observation: Mapping[str, Any]) -> None:
        """A world has ended: the first one's answer is said."""
        if self._has_said:
            return
        summary = Summary()
        summary.add(observation, list(self._scenario.specs().values()), INVARIANTS, checked=CHECKED)
        self.hear(summary)

    def hear(self, summary: Summary) -> None:
        """So much has been seen, and more is played."""
        self._has_said = True
        entry = judged(self._scenario, summary, self._scenario.lane)
        results = with_answer(build_results(self._version, [*self._entries, entry], **self._extra))
        after = f"{counted(summary.replications, 'world')}, {self._clock() - self._began:.0f} s"
        self._say(f"{self._scenario.name}, so far ({after}): {results['answer']['title']}")
