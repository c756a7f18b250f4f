"""The kinds of claims: what each needs, what it allows, when it holds, and how it is written. One row per kind.

Everything else asks these rows: the check of scenario files, the verdict, its sequential and stratified forms, pages,
figures and the terminal. So a kind about a rate is a row here; one that needs a number of its own has that number in
`relaysim.reports.claims.ClaimSpec` and in `relaysim.scenarios.model.ClaimEntry` too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypedDict

Kind = Literal["between", "below", "above", "never", "absent", "exact"]

NUMBERS: Final = ("target", "margin", "limit", "value")
"""The numbers that a claim may need. All but `value`, which has the unit of its series, are rates."""


class Numbers(TypedDict):
    """The numbers of one claim; those that its kind does not need are None."""

    target: float | None
    margin: float | None
    limit: float | None
    value: float | None


class ClaimKind(NamedTuple):
    """One kind of claim.

    Attributes:
        needs: which of `NUMBERS` it needs; it may have no others.
        allowed: the lowest and the highest rate that it allows, both in 0 to 1, from its numbers.
        holds: whether a rate anywhere in an interval (low, high) meets the allowed (floor, ceiling).
        fails: whether a rate anywhere in that interval misses them.
        words: what it allows, for people. The format is given `low` and `high` (percent), `value` and its `unit`.
        sides: 2 for a two-sided interval, 1 for two one-sided bounds.
        has_rate: whether it is judged by an interval of its event's rate.
        reads_series: whether it is about the values of a series, not about how often an event happens.
        occurrence_refutes: whether a single occurrence decides it.
        occurrence_undecides: whether it cannot be decided any more once there is an occurrence.
        denies_absence: whether trials without the event are what speaks against it.
    """

    needs: tuple[str, ...]
    allowed: Callable[[Numbers], tuple[float, float]]
    holds: Callable[[float, float, float, float], bool]
    fails: Callable[[float, float, float, float], bool]
    words: str
    sides: Literal[1, 2] = 1
    has_rate: bool = False
    reads_series: bool = False
    occurrence_refutes: bool = False
    occurrence_undecides: bool = False
    denies_absence: bool = False

    @property
    def is_about_occurrence(self) -> bool:
        """Whether a single occurrence matters, and no rate; then events need no trial each."""
        return self.occurrence_refutes or self.occurrence_undecides


def _around_target(numbers: Numbers) -> tuple[float, float]:
    target, margin = _number(numbers["target"]), _number(numbers["margin"])
    return max(0.0, target - margin), min(1.0, target + margin)


def _number(number: float | None) -> float:
    assert number is not None, "checked when the claim was made"
    return float(number)


CLAIM_KINDS: Final[dict[Kind, ClaimKind]] = {
    "between": ClaimKind(
        needs=("target", "margin"),
        allowed=_around_target,
        holds=lambda low, high, floor, ceiling: floor <= low and high <= ceiling,
        fails=lambda low, high, floor, ceiling: high < floor or low > ceiling,
        words="{low} – {high} %",
        sides=2,
        has_rate=True,
    ),
    "below": ClaimKind(
        needs=("limit",),
        allowed=lambda numbers: (0.0, _number(numbers["limit"])),
        holds=lambda low, high, floor, ceiling: high < ceiling,
        fails=lambda low, high, floor, ceiling: low >= ceiling,
        words="below {high} %",
        has_rate=True,
    ),
    "above": ClaimKind(
        needs=("limit",),
        allowed=lambda numbers: (_number(numbers["limit"]), 1.0),
        holds=lambda low, high, floor, ceiling: low > floor,
        fails=lambda low, high, floor, ceiling: high <= floor,
        words="above {low} %",
        has_rate=True,
        denies_absence=True,
    ),
    # What decides these is no interval: one occurrence, one value that differs.
    "never": ClaimKind(
        needs=(),
        allowed=lambda numbers: (0.0, 0.0),
        holds=lambda low, high, floor, ceiling: False,
        fails=lambda low, high, floor, ceiling: False,
        words="never",
        occurrence_refutes=True,
    ),
    "absent": ClaimKind(
        needs=(),
        allowed=lambda numbers: (0.0, 0.0),
        holds=lambda low, high, floor, ceiling: False,
        fails=lambda low, high, floor, ceiling: False,
        words="not at all",
        occurrence_undecides=True,
    ),
    "exact": ClaimKind(
        needs=("value",),
        allowed=lambda numbers: (1.0, 1.0),
        holds=lambda low, high, floor, ceiling: False,
        fails=lambda low, high, floor, ceiling: False,
        words="exactly {value}{unit}",
        reads_series=True,
    ),
}


def kind_named(name: object) -> ClaimKind | None:
    """The row of a kind, whatever a file says in its place; None if there is no such kind."""
    return next((kind for known, kind in CLAIM_KINDS.items() if name == known), None)
