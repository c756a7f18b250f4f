"""Goal: intervals, design effects and trial counts are the textbook's, and behave as intervals must.

Method: independent computations (scipy's own exact interval, the defining binomial sums, a plain loop over clusters),
and properties over many counts.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from relaysim.reports.statistics import (
    clopper_pearson,
    design_effect,
    lower_bound,
    trials_to_decide,
    upper_bound,
)

counts = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
alphas = st.floats(0.0005, 0.2)


@pytest.mark.parametrize(("count", "n"), [(0, 1), (0, 400), (1, 7), (200, 400), (35_784, 40_000), (400, 400)])
@pytest.mark.parametrize("alpha", [0.01, 0.01 / 3, 0.05])
def test_the_interval_is_scipys_exact_one(count: int, n: int, alpha: float) -> None:
    from scipy.stats import binomtest

    found = {
        "two-sided": clopper_pearson(count, n, alpha),
        "greater": (lower_bound(count, n, alpha), 1.0),
        "less": (0.0, upper_bound(count, n, alpha)),
    }
    for alternative, interval in found.items():
        expected = binomtest(count, n, alternative=alternative).proportion_ci(1 - alpha, method="exact")
        assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(1, 10), (3, 30), (25, 60)])
def test_a_bound_is_where_the_tail_holds_exactly_alpha(count: int, n: int) -> None:
    def tail(first: int, last: int, p: float) -> float:
        return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(first, last + 1))

    assert tail(count, n, lower_bound(count, n, 0.01)) == pytest.approx(0.01, abs=1e-10)
    assert tail(0, count, upper_bound(count, n, 0.01)) == pytest.approx(0.01, abs=1e-10)


def test_nothing_seen_leaves_the_closed_form_bound() -> None:
    assert upper_bound(0, 400, 0.01) == pytest.approx(1 - 0.01 ** (1 / 400), abs=1e-14)
    assert lower_bound(400, 400, 0.01) == pytest.approx(0.01 ** (1 / 400), abs=1e-14)
    assert lower_bound(0, 400, 0.01) == 0
    assert upper_bound(400, 400, 0.01) == 1


@given(counts, alphas)
def test_the_interval_contains_the_observed_rate(counted: tuple[int, int], alpha: float) -> None:
    count, n = counted
    low, high = clopper_pearson(count, n, alpha)
    assert 0 <= low <= count / n <= high <= 1


@given(counts, alphas)
def test_more_events_raise_both_ends_and_more_confidence_widens(counted: tuple[int, int], alpha: float) -> None:
    count, n = counted
    assume(count < n)
    low, high = clopper_pearson(count, n, alpha)
    higher_low, higher_high = clopper_pearson(count + 1, n, alpha)
    assert low < higher_low
    assert high < higher_high
    wider_low, wider_high = clopper_pearson(count, n, alpha / 2)
    assert wider_low <= low
    assert high <= wider_high


@pytest.mark.parametrize(
    ("count", "n", "alpha"), [(-1, 5, 0.01), (6, 5, 0.01), (0, 0, 0.01), (1, 5, 0.0), (1, 5, 1.0), (1, 5, math.nan)]
)
def test_what_is_no_count_is_refused(count: int, n: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha|trial|count"):
        clopper_pearson(count, n, alpha)


def effect(clusters: list[tuple[int, int]], alpha: float = 0.01) -> tuple[float, float]:
    spread = design_effect(
        sum_cc=sum(c * c for c, _ in clusters),
        sum_cn=sum(c * m for c, m in clusters),
        sum_nn=sum(m * m for _, m in clusters),
        count=sum(c for c, _ in clusters),
        n=sum(m for _, m in clusters),
        replications=sum(m > 0 for _, m in clusters),
        alpha=alpha,
    )
    return spread.deff, spread.n_effective


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_one_trial_per_replication_is_not_clustered(events: list[bool]) -> None:
    assert effect([(int(event), 1) for event in events]) == (1.0, float(len(events)))


def test_replications_that_agree_within_themselves_count_once() -> None:
    # Each replication has 10 messages that all share one fate: only the 500 replications are trials.
    clusters = [(10, 10) if index % 4 == 0 else (0, 10) for index in range(500)]
    deff, n_effective = effect(clusters)
    assert deff == pytest.approx(10, rel=0.01)
    assert n_effective == pytest.approx(500, rel=0.01)


def test_the_design_effect_is_the_ratio_estimators() -> None:
    clusters = [((index * 7) % 5, 20 + index % 3) for index in range(60)]
    n = sum(m for _, m in clusters)
    rate = sum(c for c, _ in clusters) / n
    variance = 60 / 59 * sum((c - rate * m) ** 2 for c, m in clusters) / n**2
    from scipy.stats import t

    price = (t.ppf(0.995, 59) / t.ppf(0.995, n - 1)) ** 2
    plain = variance / (rate * (1 - rate) / (n - 1))
    assert effect(clusters)[0] == pytest.approx(max(1.0, plain) * price, rel=1e-12)


def test_luck_does_not_narrow_an_interval() -> None:
    # Exactly one failure in each replication is less variance than chance gives; it is not taken for information.
    deff, _ = effect([(1, 10)] * 1000)
    assert 1.0 <= deff < 1.01


def test_one_replication_is_one_trial() -> None:
    assert effect([(3, 50)]) == (50.0, 1.0)


@given(st.lists(st.integers(0, 12).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))), min_size=1))
def test_an_effective_number_of_trials_is_one_at_least_and_n_at_most(clusters: list[tuple[int, int]]) -> None:
    n = sum(m for _, m in clusters)
    assume(n)
    deff, n_effective = effect(clusters)
    assert 1 <= deff <= n
    assert n_effective == n / deff
    assert 1 - 1e-12 <= n_effective <= n


def test_sums_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong"):
        design_effect(sum_cc=1, sum_cn=1, sum_nn=5, count=1, n=10, replications=10)
    with pytest.raises(ValueError, match="no design effect"):
        design_effect(sum_cc=0, sum_cn=0, sum_nn=0, count=0, n=0, replications=0)


@settings(max_examples=25)
@given(st.floats(0, 0.3))
def test_the_trials_that_decide_are_the_fewest(rate: float) -> None:
    def decides(count: float, n: float) -> bool:
        low, high = clopper_pearson(count, n, 0.01)
        return high < 0.1 or low > 0.1

    needed = trials_to_decide(decides, rate, n_max=10**6)
    if needed is None:
        assert abs(rate - 0.1) < 0.002
    else:
        assert decides(rate * needed, needed)
        assert needed == 1 or not decides(rate * (needed - 1), needed - 1)


def test_a_rate_on_the_limit_is_never_decided() -> None:
    assert trials_to_decide(lambda count, n: upper_bound(count, n, 0.01) < 0.1, 0.1) is None
