"""Goal: waiting times count those who never got an answer."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relaysim.scenarios.replication_summary import Spread
from relaysim.scenarios.verdicts import _reply_or_never


def found(seconds: list[float], lost: int) -> dict[str, Any]:
    spread = Spread()
    spread.add(seconds)
    summary: Any = SimpleNamespace(spreads={"reply_seconds": spread}, counts={"lost": lost})
    return _reply_or_never(summary)


def test_a_policy_that_answers_only_the_quick_ones_is_not_quick() -> None:
    quick = found([1.0] * 50, lost=50)
    assert quick == {"n": 100, "never": 50, "p50": 1.0, "p90": None, "p99": None}
    assert found([1.0] * 50, lost=0)["p99"] == 1.0
    assert found([], lost=3) == {"n": 3, "never": 3, "p50": None, "p90": None, "p99": None}


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(0, 60))
def test_each_percentile_is_that_of_all_messages(seconds: list[int], lost: int) -> None:
    everyone = sorted([*map(float, seconds), *[math.inf] * lost])
    told = found([float(each) for each in seconds], lost)
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        if everyone:
            expected = everyone[max(1, math.ceil(share * len(everyone))) - 1]
            assert told[name] == (None if expected == math.inf else expected)
