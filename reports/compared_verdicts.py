"""Better or worse: the verdict on a compared policy, from the measures that customers feel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from relaysim.reports.comparison import MEASURES, Measure, direction


def mark(measure: Measure, difference: Mapping[str, Any]) -> str:
    """How a policy stands in one measure, in a word or a sign."""
    which = direction(difference)
    if which in ("less", "more") and measure.role != "told":
        return "better" if which == "less" else "worse"
    return {"same": "=", "unknown": "≈"}.get(which, which)


VerdictWord = Literal["better", "worse", "mixed", "open", "same"]


@dataclass(frozen=True, slots=True)
class ComparedVerdict:
    """Whether a policy is better than the one that it is compared with, and in which of the measures that customers feel."""

    word: VerdictWord
    better: tuple[Measure, ...]
    worse: tuple[Measure, ...]


def verdict_of(difference: Mapping[str, Any]) -> ComparedVerdict:
    """The verdict on a policy; `difference` is its entry in the results."""
    told = {each: direction(difference["measures"][each.id]) for each in MEASURES if each.role == "felt"}
    better = tuple(each for each, which in told.items() if which == "less")
    worse = tuple(each for each, which in told.items() if which == "more")
    word: VerdictWord = "mixed" if better and worse else "better" if better else "worse" if worse else "open"
    if not better and not worse and all(which == "same" or _never(difference, each) for each, which in told.items()):
        word = "same"
    return ComparedVerdict(word, better, worse)


def _never(difference: Mapping[str, Any], measure: Measure) -> bool:
    """Whether a percentile is the same: under both policies a wait without end, or as long."""
    found = difference["measures"][measure.id]
    return measure.kind == "seconds" and bool(found["both_never"] or found["interval"] == [0.0, 0.0])
