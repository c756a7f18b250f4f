"""What the judge has found: counts, and a few sentences about each kind of breach."""

from __future__ import annotations

from typing import Any, Final

from relaysim.sim.world.judge.catalogue import JUDGED_COUNTS

DETAILS_MAX: Final = 3


class Findings:
    """Filled by the checks.

    Attributes:
        counts: see `relaysim.sim.world.judge.catalogue.JUDGED_COUNTS`.
        details: per count of breaches or residues at most three dicts whose `text` is a sentence.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(JUDGED_COUNTS, 0)
        self.details: dict[str, list[dict[str, Any]]] = {}

    def check(self, promise: str, cases: int = 1) -> None:
        """A promise was put to the test."""
        self.counts[f"checked_{promise}"] += cases

    def breach(self, promise: str, text: str, **facts: Any) -> None:
        """A promise was broken: a sentence, and the facts behind it."""
        self._note(f"breach_{promise}", text, facts)

    def residue(self, name: str, text: str, **facts: Any) -> None:
        """Something that no relay can avoid happened."""
        self._note(f"residue_{name}", text, facts)

    def _note(self, count: str, text: str, facts: dict[str, Any]) -> None:
        self.counts[count] += 1
        notes = self.details.setdefault(count, [])
        if len(notes) < DETAILS_MAX:
            notes.append({"text": text, "kind": count, **facts})


def at(seconds: float) -> str:
    """A virtual instant in a sentence."""
    return f"{seconds:.3f} s"


def shortened(text: str) -> str:
    """A text that somebody wrote, quoted in a sentence: 60 characters of it at most."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
