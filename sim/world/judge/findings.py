"""What the judge has found: counts, and a few sentences about each kind of breach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from relaysim.sim.world.judge.catalogue import CONTENT_BREACHES, JUDGED_COUNTS

DETAILS_MAX: Final = 3


class Findings:
    """Filled by the checks.

    Attributes:
        counts: see `relaysim.sim.world.judge.catalogue.JUDGED_COUNTS`.
        breached: by conversation, the messages that breaches of S12 to S15 name; see `add_named`.
        details: per count of breaches or residues at most three dicts whose `text` is a sentence.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(JUDGED_COUNTS, 0)
        self.details: dict[str, list[dict[str, Any]]] = {}
        self.breached: dict[str, set[str]] = {}

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
        if count in CONTENT_BREACHES:
            add_named(self.breached, facts)
        notes = self.details.setdefault(count, [])
        if len(notes) < DETAILS_MAX:
            notes.append({"text": text, "kind": count, **facts})


def add_named(breached: dict[str, set[str]], facts: Mapping[str, Any]) -> None:
    """Put down the message that a breach names under its conversation; of one that names none the conversation alone."""
    conversation = facts.get("conversation")
    if conversation is None:
        return
    named = breached.setdefault(str(conversation), set())
    if facts.get("message") is not None:
        named.add(str(facts["message"]))


def at(seconds: float) -> str:
    """A virtual instant in a sentence."""
    return f"{seconds:.3f} s"


def shortened(text: str) -> str:
    """A text that somebody wrote, quoted in a sentence: 60 characters of it at most."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
