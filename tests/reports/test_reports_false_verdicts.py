"""Goal: whatever worlds look like, a wrong verdict is as rare as promised: 1 % of the runs.

Method: runs of worlds whose true rate is known, claimed to be better or worse than it is by a hair; more wrong verdicts than
a binomial of 1 % allows fail. The last test shows that these worlds do mislead the interval that estimates clustering.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom
from ugly_worlds import POPULATIONS, Population

from relaysim.reports.betting import Worlds, growth
from relaysim.reports.claims import ClaimSpec, Tally, clustering, judge, largest_world
from relaysim.reports.confidence_sequences import ConfidenceSequence
from relaysim.reports.statistics import clopper_pearson
from relaysim.reports.stratified import Stratum, stratified_interval

ALPHA = 0.01
NUMBERS = (10, 20, 40, 100, 400)
HAIR = 1e-9
KINDS = pytest.mark.parametrize("kind", list(POPULATIONS))


def allowed(runs: int, alpha: float = ALPHA) -> int:
    """More wrong verdicts than this come once in a thousand times, if each has the probability `alpha`."""
    return int(binom.ppf(0.999, runs, alpha))


def claim(kind: str, **numbers: float) -> ClaimSpec:
    return ClaimSpec.from_mapping({"id": kind, "title": kind, "kind": kind, "event": "e", "among": "m", **numbers})


def false_claims(rate: float, most: int) -> list[tuple[ClaimSpec, str]]:
    """Claims beside the true rate, and the verdict on each that would be wrong."""
    claims = [
        (claim("above", limit=rate, trials_max=most), "verified"),
        (claim("below", limit=rate, trials_max=most), "verified"),
        (claim("above", limit=max(rate - HAIR, 0.0), trials_max=most), "refuted"),
        (claim("below", limit=min(rate + HAIR, 1.0), trials_max=most), "refuted"),
        (claim("between", target=rate, margin=HAIR, trials_max=most), "refuted"),
    ]
    if rate < 0.9:
        claims.append((claim("between", target=rate + 0.05 + HAIR, margin=0.05, trials_max=most), "verified"))
    return claims


def drawn(population: Population, number: int, runs: int) -> list[Tally]:
    generator = np.random.default_rng([number, runs, population.most])
    found = []
    for _ in range(runs):
        events, trials = population.draw(generator, number)
        found.append(Tally(dict(Counter(zip(events.tolist(), trials.tolist(), strict=True)))))
    return found


def excluded(population: Population, tally: Tally, most: int) -> tuple[bool, bool]:
    """Whether the lower bound lies above the true rate, and the upper bound below it: what every wrong verdict needs."""
    worlds, rate = Worlds.counted(tally.worlds, most), population.rate
    above = growth(worlds, rate, ALPHA).rejects(1, tally.replications)
    below = growth(worlds.without_the_event, 1 - rate, ALPHA).rejects(1, tally.replications)
    return above, below


@pytest.mark.parametrize("runs", [200, pytest.param(2_000, marks=pytest.mark.soak)])
@KINDS
@pytest.mark.parametrize("number", NUMBERS)
def test_a_bound_is_on_the_wrong_side_as_rarely_as_promised(kind: str, number: int, runs: int) -> None:
    population = POPULATIONS[kind]
    found = [excluded(population, tally, population.most) for tally in drawn(population, number, runs)]
    assert max(map(sum, zip(*found, strict=True))) <= allowed(runs)


@pytest.mark.parametrize("runs", [200, pytest.param(2_000, marks=pytest.mark.soak)])
@KINDS
@pytest.mark.parametrize("number", NUMBERS)
def test_twice_the_largest_world_that_was_seen_is_room_enough_for_these(kind: str, number: int, runs: int) -> None:
    population = POPULATIONS[kind]
    found = [
        excluded(population, tally, largest_world(tally, None))
        for tally in drawn(population, number, runs)
        if tally.trials_max
    ]
    assert max(map(sum, zip(*found, strict=True))) <= allowed(runs)


@pytest.mark.parametrize("runs", [15, pytest.param(200, marks=pytest.mark.soak)])
@KINDS
@pytest.mark.parametrize("number", [10, 100])
def test_a_verdict_is_wrong_as_rarely_as_promised(kind: str, number: int, runs: int) -> None:
    population = POPULATIONS[kind]
    wrong = Counter[str]()
    for tally in drawn(population, number, runs):
        for spec, verdict in false_claims(population.rate, population.most):
            wrong[f"{spec.kind} {verdict}"] += judge(spec, tally)["verdict"] == verdict
    assert max(wrong.values()) <= allowed(runs), wrong


@pytest.mark.parametrize("runs", [15, pytest.param(200, marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", ["outages of 2 %", "scattered, 95 %", "storms of 10 %", "many sizes, outages of 3 %"])
def test_whoever_stops_at_the_first_look_that_decides_is_wrong_as_rarely(kind: str, runs: int) -> None:
    population, looks = POPULATIONS[kind], (10, 20, 40, 70, 100, 200, 400)
    generator = np.random.default_rng(runs)
    wrong = Counter[str]()
    for _ in range(runs):
        events, trials = population.draw(generator, looks[-1])
        worlds = list(zip(events.tolist(), trials.tolist(), strict=True))
        tallies = [Tally(dict(Counter(worlds[:number]))) for number in looks]
        for spec, verdict in false_claims(population.rate, population.most)[:4]:
            sequence = ConfidenceSequence(spec, planned=looks[-1])
            for tally in tallies:
                sequence.look(tally)
            wrong[f"{spec.kind} {verdict}"] += sequence.verdict == verdict
    assert max(wrong.values()) <= allowed(runs), wrong


@pytest.mark.parametrize("runs", [40, pytest.param(2_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("number", [20, 400])
@pytest.mark.parametrize("rates", [(0.02, 0.0), (0.5, 0.01), (1.0, 0.02), (0.9, 0.3)])
def test_bounds_from_strata_are_on_the_wrong_side_as_rarely(rates: tuple[float, float], number: int, runs: int) -> None:
    parts = ((0.05, number // 10, rates[0]), (0.95, number - number // 10, rates[1]))
    rate = sum(probability * each for probability, _, each in parts)
    generator = np.random.default_rng(number)
    wrong = Counter[str]()
    for _ in range(runs):
        strata = [Stratum(probability, int(generator.binomial(n, each)), n) for probability, n, each in parts]
        for by_absence in (False, True):
            low, high = stratified_interval(strata, ALPHA, by_absence=by_absence)
            wrong[f"low {by_absence}"] += low > rate
            wrong[f"high {by_absence}"] += high < rate
    assert max(wrong.values()) <= allowed(runs), wrong


@pytest.mark.parametrize("number", [10, 20, 40])
def test_an_interval_of_an_effective_number_of_trials_is_misled_by_outages_that_it_did_not_see(number: int) -> None:
    """The contrast: what these worlds do to an interval that estimates how failures cluster, and not to this one."""
    misled = 0
    for tally in drawn(POPULATIONS["outages of 2 % of large worlds"], number, 100):
        spread = clustering(tally)
        misled += clopper_pearson(tally.count / spread.deff, spread.n_effective, 2 * ALPHA)[0] > 0.99
        assert judge(claim("above", limit=0.99, trials_max=120), tally)["verdict"] != "verified"
    assert misled >= 30
