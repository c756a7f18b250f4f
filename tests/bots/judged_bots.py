"""How a bot of this folder is judged: as `relaysim verify SCENARIO --factory MODULE:FUNCTION` does it, in this process.

A bot is a module of its own, named after what it does; its factory takes the OpenAI client, the Redis client and `send`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Judged(NamedTuple):
    """What the command said of a bot.

    Attributes:
        exit_code: 0 if every claim was verified, 1 if one was refuted, 3 if one is inconclusive.
        results: what it wrote into `results.json`.
    """

    exit_code: int
    results: dict[str, Any]

    @property
    def is_safe(self) -> bool:
        """Whether the answer to "Is it safe?" begins with "Yes"."""
        return bool(self.results["answer"]["status"] == "safe")

    @property
    def answer(self) -> str:
        """The whole answer: its title, and a sentence a line."""
        return "\n".join([self.results["answer"]["title"], *self.results["details"]])

    def count(self, name: str) -> int:
        """A count, over all scenarios."""
        return sum({**entry["counts"], **entry["outcomes"]}.get(name, 0) for entry in self.results["scenarios"])

    @property
    def broken(self) -> dict[str, int]:
        """The invariants that were broken, by their ids (`T1`, `S12`), and how often."""
        found: dict[str, int] = {}
        for entry in self.results["scenarios"]:
            for name, invariant in entry["invariants"].items():
                if invariant["breaches"]:
                    found[name.partition("-")[0]] = found.get(name.partition("-")[0], 0) + invariant["breaches"]
        return found

    def assert_safe(self) -> None:
        """Fail the test unless nothing was broken and the answer is "Yes"."""
        assert self.broken == {}, self.answer
        assert self.is_safe, self.answer

    def assert_breaks(self, invariant: str) -> None:
        """Fail the test unless this invariant was broken, and the command says so."""
        assert invariant in self.broken, self.answer
        assert not self.is_safe, self.answer
        assert self.exit_code == 1, self.answer


Judge = Callable[..., Judged]
