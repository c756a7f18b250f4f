"""Goal: bounds by betting are wrong no more often than promised, whatever worlds look like, and behave as bounds must.

Method: the expectation that the promise rests on, added up over all outcomes of a few worlds; a slow reference that bets
world by world in plain Python; properties; populations of worlds whose true rate is known.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from relaysim.reports import betting
from relaysim.reports.betting import Pairs, Worlds, bounds, difference_bounds, growth, lower_bound
from relaysim.reports.statistics import clopper_pearson

ALPHA = 0.01


def worlds(kinds: dict[tuple[int, int], int], most: float = 10) -> Worlds:
    return Worlds.counted(kinds, most)


def capital(seen: list[tuple[int, int]], rate: float, most: int, planned: float, alpha: float = ALPHA) -> float:
    """What a gambler owns who starts with 1 and bets against `rate` or less, world by world, with each bet apart."""
    below = max((end for end in (0.0, *betting._ENDS) if end < rate), default=0.0)
    bets, log_weights = betting._bets(below, alpha, planned)
    owned = 0.0
    for bet, weight in zip(bets.tolist(), log_weights.tolist(), strict=True):
        fortune = math.exp(weight)
        for events, trials in seen:
            fortune *= 1 + bet * (events / rate - trials) / most
        owned += fortune
    return owned


# The promise


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize(
    "population",
    [
        {(0, 5): 0.05, (5, 5): 0.95},
        {(0, 1): 0.5, (1, 1): 0.3, (0, 5): 0.1, (5, 5): 0.1},
        {(0, 0): 0.3, (1, 4): 0.6999, (5, 5): 0.0001},
        {(0, 5): 0.999, (1, 2): 0.001},
        {(0, 5): 1 - 4e-7, (2, 5): 4e-7},
        {(2, 5): 1.0},
    ],
)
def test_nobody_gains_on_average_by_betting_against_the_true_rate(
    population: dict[tuple[int, int], float], number: int
) -> None:
    rate = math.fsum(chance * events for (events, _), chance in population.items()) / math.fsum(
        chance * trials for (_, trials), chance in population.items()
    )
    for planned in (1, 20, 10_000):
        expected = math.fsum(
            math.prod(population[kind] for kind in drawn) * capital(list(drawn), rate, 5, planned)
            for drawn in product(population, repeat=number)
        )
        assert expected == pytest.approx(1.0, abs=1e-9)


def test_a_bound_is_where_the_gamblers_capital_reaches_one_over_alpha() -> None:
    generator = np.random.default_rng(5)
    for rate, planned in ((0.04, 60), (0.3, 60), (0.95, 60), (0.8, 5)):
        trials = generator.integers(1, 9, 60)
        events = generator.binomial(trials, rate)
        seen = list(zip(events.tolist(), trials.tolist(), strict=True))
        bound = lower_bound(worlds(dict(Counter(seen)), 8), ALPHA, planned=planned)
        assert 0 < bound < sum(events) / sum(trials)
        for nearer in np.linspace(0, 1, 50)[1:]:
            excluded = capital(seen, bound * float(nearer) - 1e-12, 8, planned) >= 1 / ALPHA
            assert excluded, "all rates below the bound are excluded"
        assert capital(seen, bound + 1e-9, 8, planned) < 1 / ALPHA


@pytest.mark.parametrize("times", [1, 3, 7.5])
@pytest.mark.parametrize("rate", [0.02, 0.5, 0.93, 0.985])
def test_growth_foretells_what_a_bound_would_exclude(rate: float, times: float) -> None:
    few = worlds({(10, 10): 30, (9, 10): 5, (3, 4): 2})
    more = worlds({(10, 10): 30, (9, 10): 5, (3, 4): 2})
    more = Worlds(events=more.events, trials=more.trials, times=more.times * times)
    bound = lower_bound(more, ALPHA, planned=37 * times)
    assert growth(few, rate, ALPHA).rejects(times, 37 * times) == (bound >= rate)


PAIRS = [
    {(0, 5, 0, 5): 0.9, (5, 5, 0, 5): 0.1},
    {(0, 5, 0, 5): 0.99, (5, 5, 0, 3): 0.01},
    {(2, 2, 1, 4): 0.5, (0, 0, 3, 5): 0.3, (1, 1, 0, 5): 0.2},
    {(5, 5, 0, 5): 0.7, (0, 1, 1, 1): 0.3},
]


def rates_of(population: dict[tuple[int, int, int, int], float]) -> tuple[float, float]:
    sums = [math.fsum(chance * kind[at] for kind, chance in population.items()) for at in range(4)]
    return sums[0] / sums[1], sums[2] / sums[3]


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("population", PAIRS)
def test_the_capital_against_the_true_difference_is_one_on_average(
    population: dict[tuple[int, int, int, int], float], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the true second rate; elsewhere in its bounds the capital of a bet is no less than at one of their ends."""
    first_rate, second_rate = rates_of(population)
    found = []

    def keep(log_capital: Any, least: float, ends: Any, alpha: float) -> float:
        difference = first_rate - second_rate
        found.append(math.exp(log_capital(difference, -1.0, next(end for end in ends if end >= difference))))
        return least

    monkeypatch.setattr(betting, "_smallest_not_excluded", keep)
    expected = 0.0
    for drawn in product(population, repeat=number):
        pairs = Pairs.counted(Counter(drawn), 5)
        betting._difference_lower_bound(pairs, ALPHA, 20, (second_rate,))
        expected += found[-1] * math.prod(population[kind] for kind in drawn)
    assert expected == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("second_trials", [5, 4])
def test_a_bound_of_a_difference_is_where_the_capital_reaches_one_over_its_alpha(second_trials: int) -> None:
    """Slowly, world by world, and with other trials at both ends of what the second rate may be."""
    seen = [(5, 5, 1, second_trials)] * 20 + [(2, 5, 2, second_trials)] * 25 + [(0, 5, 1, second_trials)] * 5
    planned = len(seen)
    low, _ = difference_bounds(Pairs.counted(Counter(seen), 5), ALPHA, planned=planned)
    rates: tuple[float, ...] = (0.0,)
    if second_trials != 5:
        second = Counter((events, trials) for _, _, events, trials in seen)
        rates = bounds(worlds(dict(second), 5), 0.025 * ALPHA, planned=planned)
    bets, log_weights = betting._bets(0.5, 0.45 * ALPHA, planned)

    def owned(difference: float) -> float:
        end = next(end for end in betting._DIFFERENCE_ENDS if end >= difference)
        total = 0.0
        for bet, weight in zip(bets.tolist(), log_weights.tolist(), strict=True):
            total += math.exp(weight) * min(
                math.prod(1 + bet * (x - y - difference * n - rate * (n - k)) / 5 / (1 + end) for x, n, y, k in seen)
                for rate in rates
            )
        return total

    assert 0 < low < 1
    assert owned(low - 1e-9) >= 1 / (0.45 * ALPHA) > owned(low + 1e-9)
    assert owned(low) == pytest.approx(1 / (0.45 * ALPHA), rel=1e-6)


@pytest.mark.parametrize("runs", [60, pytest.param(2_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("number", [20, 100, 400])
@pytest.mark.parametrize("population", [*PAIRS, {(5, 5, 5, 5): 0.98, (5, 5, 0, 5): 0.02}])
def test_bounds_of_a_difference_are_wrong_as_rarely_as_promised(
    population: dict[tuple[int, int, int, int], float], number: int, runs: int
) -> None:
    first_rate, second_rate = rates_of(population)
    generator = np.random.default_rng(number)
    wrong = 0
    for _ in range(runs):
        times = generator.multinomial(number, list(population.values())).tolist()
        pairs = {kind: each for kind, each in zip(population, times, strict=True) if each}
        low, high = difference_bounds(Pairs.counted(pairs, 5), ALPHA, planned=number)
        wrong += not low - 1e-9 <= first_rate - second_rate <= high + 1e-9
    assert wrong <= binom.ppf(0.999, runs, ALPHA)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.tuples(*[st.integers(0, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))] * 2).map(
            lambda both: (*both[0], *both[1])
        ),
        st.integers(1, 300),
        min_size=1,
        max_size=5,
    )
)
def test_bounds_of_a_difference_enclose_it_and_have_a_mirror_image(
    pairs: dict[tuple[int, int, int, int], int],
) -> None:
    number = sum(pairs.values())
    low, high = difference_bounds(Pairs.counted(pairs, 9), ALPHA, planned=number)
    assert -1 <= low <= high <= 1
    mirrored = difference_bounds(Pairs.counted(pairs, 9).swapped, ALPHA, planned=number)
    assert mirrored == pytest.approx((-high, -low), abs=1e-12)
    sums = [sum(kind[at] * each for kind, each in pairs.items()) for at in range(4)]
    if sums[1] and sums[3]:
        assert low <= sums[0] / sums[1] - sums[2] / sums[3] <= high


def test_pairing_takes_out_the_outages_that_both_met() -> None:
    generator = np.random.default_rng(8)
    down, worse = generator.random(1_000) < 0.3, generator.random(1_000) < 0.03
    pairs = Counter(
        (10 if each or more else 0, 10, 10 if each else 0, 10) for each, more in zip(down, worse, strict=True)
    )
    low, high = difference_bounds(Pairs.counted(pairs, 10), ALPHA, planned=1_000)
    apart = bounds(worlds({(10, 10): 300, (0, 10): 700}), ALPHA / 2, planned=1_000)
    assert 0 < low < high
    assert high - low < 0.6 * (apart[1] - apart[0])


# How a bound behaves


some_worlds = st.dictionaries(
    st.integers(0, 10).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))),
    st.integers(1, 400),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(some_worlds, st.sampled_from([0.1, 0.01, 0.001]))
def test_bounds_enclose_the_observed_rate(kinds: dict[tuple[int, int], int], alpha: float) -> None:
    low, high = bounds(worlds(kinds), alpha, planned=sum(kinds.values()))
    trials = sum(number * trials for (_, trials), number in kinds.items())
    assert 0 <= low <= high <= 1
    if trials:
        assert low <= sum(number * events for (events, _), number in kinds.items()) / trials <= high
    else:
        assert (low, high) == (0, 1)


@settings(deadline=None)
@given(some_worlds)
def test_four_times_the_same_worlds_say_more(kinds: dict[tuple[int, int], int]) -> None:
    number = sum(kinds.values())
    low, high = bounds(worlds(kinds), ALPHA, planned=number)
    closer_low, closer_high = bounds(worlds({kind: 4 * n for kind, n in kinds.items()}), ALPHA, planned=4 * number)
    assert closer_high - closer_low <= high - low + 1e-9


@settings(deadline=None)
@given(some_worlds, st.data())
def test_one_more_event_never_lowers_a_bound(kinds: dict[tuple[int, int], int], data: st.DataObject) -> None:
    events, trials = kind = data.draw(st.sampled_from(sorted(kinds)))
    if events == trials:
        return
    number = sum(kinds.values())
    more = Counter(kinds)
    more[kind] -= 1
    more[events + 1, trials] += 1
    before, after = (bounds(worlds(dict(each)), ALPHA, planned=number) for each in (kinds, +more))
    assert after[0] >= before[0] - 1e-12
    assert after[1] >= before[1] - 1e-12


@settings(deadline=None)
@given(some_worlds, st.integers(10, 40))
def test_whoever_fears_far_larger_worlds_is_told_less(kinds: dict[tuple[int, int], int], times: int) -> None:
    number = sum(kinds.values())
    feared, known = (lower_bound(worlds(kinds, 10 * each), ALPHA, planned=number) for each in (1_000 * times, 1))
    assert feared <= known


@settings(deadline=None)
@given(some_worlds, st.integers(1, 5))
def test_worlds_without_a_trial_tell_nothing(kinds: dict[tuple[int, int], int], empty: int) -> None:
    counted = Counter(kinds)
    counted[0, 0] += empty
    number = sum(kinds.values())
    with_empty, without = (bounds(worlds(dict(each)), ALPHA, planned=number) for each in (counted, kinds))
    assert with_empty == pytest.approx(without, abs=1e-12)


def test_an_event_that_never_or_always_happened_leaves_one_side_open() -> None:
    low, high = bounds(worlds({(0, 10): 500}), ALPHA, planned=500)
    assert low == 0
    low_of_all, high_of_all = bounds(worlds({(10, 10): 500}), ALPHA, planned=500)
    assert (low_of_all, high_of_all) == (pytest.approx(1 - high, abs=1e-12), 1)


@pytest.mark.parametrize(("number", "most_wider"), [(10, 1.2), (40, 1.2), (100, 1.15), (400, 1.2), (20_000, 1.2)])
def test_without_a_failure_the_bound_is_nearly_that_of_worlds_that_are_one_trial(
    number: int, most_wider: float
) -> None:
    """That is the best there is: an outage fails all trials of a world, so a world is worth no more than one trial."""
    exact = 1 - clopper_pearson(number, number, 2 * ALPHA)[0]
    bound = 1 - lower_bound(worlds({(10, 10): number}), ALPHA, planned=number)
    assert exact <= bound <= most_wider * exact


@pytest.mark.parametrize("number", [400, 2_000, 20_000])
@pytest.mark.parametrize("rate", [0.5, 0.9, 0.99])
def test_what_the_guarantee_costs_where_trials_are_independent(rate: float, number: int) -> None:
    generator = np.random.default_rng(number)
    seen = Counter((events, 20) for events in generator.binomial(20, rate, number).tolist())
    low, high = bounds(worlds(dict(seen), 20), ALPHA, planned=number)
    exact = clopper_pearson(sum(events * n for (events, _), n in seen.items()), 20 * number, 2 * ALPHA)
    share = (high - low) / (exact[1] - exact[0])
    assert 1 < share < (4 if number == 400 else 2.1 if number == 2_000 else 1.65)


def test_numbers_that_make_no_sense_are_refused() -> None:
    seen = worlds({(1, 2): 3})
    for alpha in (0, 1, -0.1):
        with pytest.raises(ValueError, match="alpha must lie"):
            lower_bound(seen, alpha, planned=3)
    with pytest.raises(ValueError, match="planned for some number"):
        lower_bound(seen, ALPHA, planned=0)
    with pytest.raises(ValueError, match="worlds have 0 to 10 trials"):
        worlds({(1, 11): 1})
    with pytest.raises(ValueError, match="worlds have 0 to 10 trials"):
        worlds({(-1, 2): 1})
    with pytest.raises(ValueError, match="between 0 and 1"):
        growth(seen, 1.5, ALPHA)
    one = np.ones(1)
    for events, trials, times in ((2, 1, 1), (1, 1, 0), (1, 2, 1), (math.nan, 1, 1)):
        with pytest.raises(ValueError, match="each kind of world"):
            Worlds(events=events * one, trials=trials * one, times=times * one)


def test_kinds_of_worlds_that_were_not_seen_say_nothing() -> None:
    # What is staked on them would be lost, were they there: the logarithm of 0, 0 times.
    seen = bounds(worlds({(10, 10): 50}), ALPHA, planned=50)
    assert bounds(worlds({(10, 10): 50, (0, 10): 0}), ALPHA, planned=50) == seen
