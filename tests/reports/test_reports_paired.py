"""Goal: differences of policies and their intervals are what the textbook says, paired by world, and reproducible.

Method: independent computations (scipy's paired t test, plain loops, hand-made worlds), and how often an interval covers
the truth of worlds whose truth is known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from hashlib import shake_256

import pytest

from relaysim.reports.paired import (
    Estimate,
    Totals,
    Waits,
    drawn_worlds,
    percentiles,
    ratio,
    ratio_difference,
    share_difference,
    share_differing_at_most,
    worlds_differing,
    worlds_to_tell_apart,
)

NEVER = math.inf


# How many worlds would do


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Totals([0] * 10, [2] * 10), Totals([1] * 10, [2] * 10)),
        (Totals([5, 0, 1, 3], [100] * 4), Totals([9, 2, 1, 6], [99, 100, 101, 98])),
        (Totals([1, 0, 0] * 10, [4] * 30), Totals([0, 1, 1] * 10, [4] * 30)),
    ],
)
def test_so_many_worlds_like_these_tell_shares_apart_and_half_of_them_do_not(first: Totals, second: Totals) -> None:
    worlds = len(first.events)
    needed = worlds_to_tell_apart(first, second, 0.01, trials_max=101)
    assert needed is not None
    assert needed > worlds

    def apart(times: int) -> bool:
        again = [Totals(list(each.events) * times, list(each.among) * times) for each in (first, second)]
        found = share_difference(*again, 0.01, trials_max=101)
        assert found is not None
        assert found.interval is not None
        return not found.interval[0] <= 0 <= found.interval[1]

    assert apart(-(-needed // worlds))
    assert not apart(max(1, needed // worlds // 2))


def test_equal_shares_are_told_apart_by_no_number_of_worlds() -> None:
    assert worlds_to_tell_apart(Totals([1, 0], [2, 2]), Totals([0, 1], [2, 2]), 0.01) is None


# Totals per message


def test_with_one_message_per_world_the_difference_is_the_paired_t_tests() -> None:
    from scipy.stats import ttest_rel

    source = random.Random(5)
    first = [source.randrange(9) for _ in range(30)]
    second = [source.randrange(9) for _ in range(30)]
    test = ttest_rel(first, second)
    expected = test.confidence_interval(0.99)
    found = ratio_difference(Totals(first, [1] * 30), Totals(second, [1] * 30), 0.01)
    assert found is not None
    assert found.value == pytest.approx((sum(first) - sum(second)) / 30, abs=1e-12)
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-11)


def test_pairing_takes_out_what_the_worlds_share() -> None:
    source = random.Random(6)
    load = [source.randrange(100, 1000) for _ in range(40)]
    first = Totals([each + source.randrange(3) for each in load], [10] * 40)
    second = Totals([each + source.randrange(3) for each in load], [10] * 40)
    paired = ratio_difference(first, second, 0.01)
    shuffled = ratio_difference(first, Totals(second.events[20:] + second.events[:20], [10] * 40), 0.01)  # type: ignore[operator]
    assert paired is not None
    assert shuffled is not None
    assert _width(paired) < 0.02 * _width(shuffled)


def test_the_ratio_of_sums_weighs_worlds_by_their_messages() -> None:
    found = ratio(Totals([1, 30, 5], [2, 100, 10]), 0.01)
    assert found is not None
    assert found.value == pytest.approx(36 / 112, abs=1e-12)
    without = [35 / 110, 6 / 12, 31 / 102]
    middle = sum(without) / 3
    error = math.sqrt(2 / 3 * sum((each - middle) ** 2 for each in without))
    # The t quantile with two degrees of freedom at 0.995.
    assert found.interval == pytest.approx((0.0, 36 / 112 + 9.924843 * error), abs=1e-6)


def test_messages_that_only_one_policy_has_change_its_ratio_alone() -> None:
    found = ratio_difference(Totals([4, 4], [8, 8]), Totals([4, 3], [4, 4]), 0.01)
    assert found is not None
    assert found.value == pytest.approx(0.5 - 7 / 8, abs=1e-12)


def test_where_no_interval_can_be_known_there_is_none() -> None:
    same = Totals([3, 3, 3], [4, 4, 4])
    assert ratio(same, 0.01) == Estimate(0.75, None)
    assert ratio_difference(same, Totals([1, 1, 1], [4, 4, 4]), 0.01) == Estimate(0.5, None)
    assert ratio(Totals([3], [4]), 0.01) == Estimate(0.75, None)
    assert ratio(Totals([3, 0], [4, 0]), 0.01) == Estimate(0.75, None)  # without the first world nothing is left
    assert ratio(Totals([0, 0], [0, 0]), 0.01) is None
    assert ratio_difference(same, Totals([0, 0, 0], [0, 0, 0]), 0.01) is None


def test_worlds_that_differ_are_counted_without_dividing() -> None:
    assert worlds_differing(Totals([1, 1, 2, 0], [3, 3, 6, 5]), Totals([1, 2, 1, 0], [3, 3, 3, 0])) == 1
    assert share_differing_at_most(60, 0.01) == pytest.approx(1 - 0.01 ** (1 / 60), abs=1e-12)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="2 worlds with events, but 1 with trials"):
        Totals([1, 2], [1])
    with pytest.raises(ValueError, match="1 worlds cannot be paired with 2"):
        ratio_difference(Totals([1], [1]), Totals([1, 2], [1, 2]), 0.01)
    with pytest.raises(ValueError, match="1 worlds with replies, but 0 with missing ones"):
        Waits([[1.0]], [])
    with pytest.raises(ValueError, match="different numbers of worlds"):
        percentiles({"a": Waits([[1.0]], [0]), "b": Waits([], [])}, [50], key="k")


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    source = random.Random(7)
    covered = 0
    for _ in range(400):
        messages = [source.randrange(5, 50) for _ in range(30)]
        first = [sum(source.random() < 0.3 for _ in range(each)) for each in messages]
        second = [sum(source.random() < 0.2 for _ in range(each)) for each in messages]
        found = ratio_difference(Totals(first, messages), Totals(second, messages), 0.01)
        assert found is not None
        assert found.interval is not None
        covered += found.interval[0] <= 0.1 <= found.interval[1]
    # 99 % of 400 are 396; fewer than 386 has a probability of 1 in 20,000.
    assert covered >= 386


# Shares


@pytest.mark.parametrize(("worlds", "misled"), [(30, 0.25), (100, 0.02)])
def test_where_outages_are_rare_a_difference_of_shares_still_covers_the_truth(worlds: int, misled: float) -> None:
    """And the contrast: a jackknife does not know of the outages that it did not see."""
    source = random.Random(worlds)
    bet = jackknifed = 0
    for _ in range(200):
        down = [source.random() < 0.02 for _ in range(worlds)]
        first = [20 if each else source.random() < 0.3 for each in down]
        totals = Totals([int(each) for each in first], [20] * worlds), Totals([0] * worlds, [20] * worlds)
        truth = 0.02 + 0.98 * 0.3 / 20
        for difference in (share_difference, ratio_difference):
            found = difference(*totals, 0.01)
            assert found is not None
            if found.interval is not None and not found.interval[0] <= truth <= found.interval[1]:
                bet += difference is share_difference
                jackknifed += difference is ratio_difference
    assert bet <= 7  # more come once in a thousand times, if each has a probability of 1 %
    assert jackknifed > misled * 200


def test_a_share_that_differs_in_no_world_has_no_interval_and_one_that_does_has() -> None:
    same = Totals([3, 3, 0], [4, 4, 1])
    assert share_difference(same, same, 0.01) == Estimate(0.0, None)
    found = share_difference(same, Totals([3, 3, 1], [4, 4, 1]), 0.01)
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
    assert share_difference(same, Totals([0] * 3, [0] * 3), 0.01) is None
    with pytest.raises(ValueError, match="cannot be paired"):
        share_difference(same, Totals([1], [1]), 0.01)


def test_a_known_number_of_messages_narrows_the_difference_of_shares() -> None:
    totals = Totals([1, 0] * 200, [4] * 400), Totals([0, 0] * 200, [4] * 400)
    known, unknown = (share_difference(*totals, 0.01, trials_max=most) for most in (4, None))
    assert known is not None
    assert unknown is not None
    assert _width(known) < _width(unknown)


# Percentiles


def _by_hand(waits: Waits, percent: int, view: str, drawn: Sequence[int]) -> float:
    pooled: list[float] = []
    for world in drawn:
        pooled += waits.seconds[world]
        if view == "or_never":
            pooled += [NEVER] * waits.never[world]
    return sorted(pooled)[math.ceil(percent * len(pooled) / 100 - 1e-9) - 1] if pooled else NEVER


def _some_waits(seed: int, worlds: int) -> Waits:
    source = random.Random(seed)
    seconds = [[source.expovariate(0.1) for _ in range(source.randrange(6))] for _ in range(worlds)]
    return Waits(seconds, [source.randrange(2) for _ in range(worlds)])


def test_percentiles_and_their_resamples_are_those_of_a_plain_loop() -> None:
    policies = {"a": _some_waits(1, 15), "b": _some_waits(2, 15)}
    found = percentiles(policies, [50, 95, 99], key="key", resamples=40)
    for name, waits in policies.items():
        for percent in (50, 95, 99):
            for view in ("replied", "or_never"):
                assert found[name].values[percent, view] == _by_hand(waits, percent, view, range(15))
                expected = [
                    _by_hand(waits, percent, view, drawn_worlds("key", number, 15).tolist()) for number in range(40)
                ]
                assert found[name].resampled[percent, view] == expected


def test_a_percentile_counts_whole_messages() -> None:
    waits = Waits([[float(each) for each in range(1, 21)]], [0])
    values = percentiles({"a": waits}, [1, 5, 50, 95, 96, 100], key="k", resamples=0)["a"].values
    assert [values[each, "replied"] for each in (1, 5, 50, 95, 96, 100)] == [1.0, 1.0, 10.0, 19.0, 20.0, 20.0]


def test_messages_without_a_reply_wait_for_ever() -> None:
    hasty = Waits([[1.0] * 9] * 8, [1] * 8)
    patient = Waits([[2.0] * 10] * 8, [0] * 8)
    found = percentiles({"hasty": hasty, "patient": patient}, [50, 95], key="k")
    assert found["hasty"].estimate(95, "replied", 0.01) == Estimate(1.0, (1.0, 1.0))
    assert found["hasty"].estimate(95, "or_never", 0.01) == Estimate(NEVER, (NEVER, NEVER))
    later = found["hasty"].difference(found["patient"], 95, "or_never", 0.01)
    assert later == Estimate(NEVER, (NEVER, NEVER))
    assert found["patient"].difference(found["hasty"], 95, "or_never", 0.01) == Estimate(-NEVER, (-NEVER, -NEVER))
    assert found["hasty"].difference(found["hasty"], 95, "or_never", 0.01) == Estimate(0.0, (0.0, 0.0))
    assert found["hasty"].difference(found["patient"], 50, "or_never", 0.01) == Estimate(-1.0, (-1.0, -1.0))


def test_without_messages_there_is_no_percentile() -> None:
    found = percentiles({"a": Waits([[]] * 8, [1] * 8), "b": Waits([[]] * 8, [0] * 8)}, [50], key="k", resamples=10)
    assert found["a"].estimate(50, "replied", 0.01) is None
    assert found["a"].estimate(50, "or_never", 0.01) == Estimate(NEVER, (NEVER, NEVER))
    assert found["b"].estimate(50, "or_never", 0.01) is None
    assert found["a"].difference(found["b"], 50, "or_never", 0.01) is None


def test_a_bootstrap_of_fewer_than_eight_worlds_claims_nothing() -> None:
    seven = percentiles({"a": Waits([[1.0, 2.0]] * 7, [0] * 7)}, [50], key="k")
    eight = percentiles({"a": Waits([[1.0, 2.0]] * 8, [0] * 8)}, [50], key="k")
    assert seven["a"].estimate(50, "replied", 0.01) == Estimate(1.0, None)
    assert eight["a"].estimate(50, "replied", 0.01) == Estimate(1.0, (1.0, 1.0))
    assert 2.0 ** (1 - 8) < 0.01 < 2.0 ** (1 - 7)


def test_an_interval_leaves_half_of_alpha_out_at_either_end() -> None:
    waits = _some_waits(3, 40)
    found = percentiles({"a": waits}, [50], key="k", resamples=1000)["a"]
    estimate = found.estimate(50, "replied", 0.02)
    assert estimate is not None
    assert estimate.interval is not None
    low, high = estimate.interval
    resampled = found.resampled[50, "replied"]
    assert sum(round(each, 12) < low for each in resampled) <= 10
    assert sum(round(each, 12) > high for each in resampled) <= 10
    assert sorted(resampled)[10] == pytest.approx(low, abs=1e-12)
    assert sorted(resampled)[-11] == pytest.approx(high, abs=1e-12)


def test_at_99_percent_ten_resamples_lie_beyond_either_end_unless_told_otherwise() -> None:
    found = percentiles({"a": _some_waits(3, 8)}, [50], key="k")["a"]
    estimate = found.estimate(50, "replied", 0.01)
    assert estimate is not None
    assert estimate.interval is not None
    resampled = sorted(found.resampled[50, "replied"])
    # The interval of fewer is that of its outermost resamples, and leaves out far more than one in a hundred.
    assert estimate.interval == (pytest.approx(resampled[10], abs=1e-12), pytest.approx(resampled[-11], abs=1e-12))
    assert len(resampled) == 2000


def test_resamples_are_functions_of_key_and_number_alone() -> None:
    assert drawn_worlds("0f3a", 0, 8).tolist() == drawn_worlds("0f3a", 0, 8).tolist()
    octets = shake_256(b"0f3a\0resample\x007").digest(800)
    expected = [int.from_bytes(octets[at : at + 8], "little") % 100 for at in range(0, 800, 8)]
    assert drawn_worlds("0f3a", 7, 100).tolist() == expected
    assert drawn_worlds("0f3a", 1, 100).tolist() != expected
    assert drawn_worlds("0f3b", 7, 100).tolist() != expected


def _width(estimate: Estimate) -> float:
    assert estimate.interval is not None
    return estimate.interval[1] - estimate.interval[0]
