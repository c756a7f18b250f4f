"""Goal: the candidate that is recommended is one that no other beats, and never one that is not shown to be better."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relaysim.scenarios.tune.held_out import Judged, recommended

IDS = ("failures", "added_delay")


def judged(
    failures: float, delay: float, *, verdicts: tuple[str, str] = ("better", "better"), all_failed: float = 0.5
) -> Judged:
    measures: dict[str, Any] = {
        "failures": {"value": failures, "verdict": verdicts[0]},
        "added_delay": {"value": delay, "verdict": verdicts[1]},
        "all_failed": {"value": all_failed, "verdict": "open"},
    }
    return Judged({"claimed": measures}, {"claimed": {}})


def test_a_later_one_that_is_less_in_everything_is_taken_before_an_earlier_one() -> None:
    assert recommended([judged(0.3, 5.0), judged(0.2, 4.0)], IDS) == 1
    assert recommended([judged(0.3, 5.0), judged(0.2, 6.0)], IDS) == 0, "neither beats the other: the search's order"
    assert recommended([judged(0.3, 5.0), judged(0.2, 4.0, all_failed=0.6)], IDS) == 0, "it fails more of all messages"


def test_what_is_not_shown_to_be_better_is_not_taken_whatever_its_values() -> None:
    worse = judged(0.1, 1.0, verdicts=("worse", "better"))
    assert recommended([judged(0.3, 5.0), worse], IDS) == 0
    assert recommended([worse], IDS) is None
    assert recommended([], IDS) is None


_one = st.builds(
    judged,
    st.sampled_from([0.1, 0.2, 0.3]),
    st.sampled_from([1.0, 2.0]),
    verdicts=st.tuples(*[st.sampled_from(["better", "open", "worse", "same"])] * 2),
    all_failed=st.sampled_from([0.4, 0.5]),
)


@given(st.lists(_one, max_size=6))
def test_no_other_good_candidate_has_less_of_everything(found: list[Judged]) -> None:
    def values(each: Judged) -> list[float]:
        return [one["value"] for one in each.by_profile["claimed"].values()]

    good = [each for each in found if each.grade("claimed", IDS) != "not"]
    place = recommended(found, IDS)
    assert (place is None) == (not good)
    if place is None:
        return
    taken = values(found[place])
    assert found[place] in good
    for other in map(values, good):
        assert other == taken or any(its > mine for its, mine in zip(other, taken, strict=True))
