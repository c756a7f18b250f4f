"""Goal: a kind of claim is one row. Whatever judges, checks, draws or writes asks the row, never the name.

Method: the names are looked for in the source; a kind that no module knows is put into the table and goes through
verdict, sequence, strata, figure and words.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from relaysim.reports.claim_kinds import CLAIM_KINDS, NUMBERS, ClaimKind, Kind, kind_named
from relaysim.reports.claims import ClaimSpec, Tally, judge
from relaysim.reports.confidence_sequences import ConfidenceSequence
from relaysim.reports.drawing import inline_svg
from relaysim.reports.figures import forest
from relaysim.reports.stratified import judge_stratified
from relaysim.reports.summary import limit_words

ROOT = Path(__file__).parents[2]


def test_every_kind_has_its_row_and_needs_known_numbers() -> None:
    assert list(CLAIM_KINDS) == list(get_args(Kind))
    assert {number for kind in CLAIM_KINDS.values() for number in kind.needs} == set(NUMBERS)
    assert [kind_named(each) for each in ("", None, [], {}, 1)] == [None] * 5


def test_nobody_else_asks_for_a_kind_by_its_name() -> None:
    """`recovered_at_` events read claims of `between` in their own way: an example is a message that never recovered."""
    names = "|".join(CLAIM_KINDS)
    by_name = re.compile(rf"""\bkind\b"?\]?\)? (==|!=|in|not in) [("']"?({names})\b""")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("reports", "scenarios")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if by_name.search(line)
    ]
    assert found == ['reports/claims.py: if spec.kind == "between" and spec.event.startswith("recovered_at_"):']


@pytest.fixture
def at_most(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kind of the tests: as `below`, but the limit itself is allowed."""
    kind = ClaimKind(
        needs=("limit",),
        allowed=lambda numbers: (0.0, numbers["limit"] or 0.0),
        holds=lambda low, high, floor, ceiling: high <= ceiling,
        fails=lambda low, high, floor, ceiling: low > ceiling,
        words="at most {high} %",
        has_rate=True,
    )
    monkeypatch.setitem(CLAIM_KINDS, "at_most", kind)  # type: ignore[misc]
    return "at_most"


def _counted(count: int, n: int) -> Tally:
    tally = Tally()
    for number in range(n):
        tally.add(int(number < count), 1)
    return tally


@pytest.mark.parametrize(("count", "verdict"), [(0, "verified"), (90, "refuted"), (40, "inconclusive")])
def test_a_new_kind_goes_through_everything(at_most: Any, count: int, verdict: str) -> None:
    spec = ClaimSpec(id="X1", title="a claim", kind=at_most, event="lost", limit=0.1)
    tally = _counted(count, 400)
    claim = judge(spec, tally)
    assert (claim["verdict"], claim["limit"], claim["sides"]) == (verdict, [0.0, 0.1], 1)
    assert limit_words(claim) == "at most 10 %"
    sequence = ConfidenceSequence(spec)
    sequence.look(tally)
    assert sequence.verdict == verdict
    assert judge_stratified(spec, [tally], [1.0])["verdict"] == verdict
    figure = forest({"scenarios": [{"scenario": "race", "claims": [claim]}]})
    assert figure is not None
    assert "at most 10 %" in inline_svg(figure)


def test_a_new_kind_refuses_what_lacks_its_number(at_most: Any) -> None:
    with pytest.raises(ValueError, match="kind 'at_most' needs limit"):
        ClaimSpec(id="X1", title="a claim", kind=at_most, event="lost")
