"""Goal: whoever stops at the first band that decides is wrong no more often than promised.

Method: trials from seeded generators whose true rate is known, at the limit and off it, looked at as `verify` looks; single
bands against sums and integrals that are computed in another way.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from relaysim.reports.claims import ClaimSpec, Tally
from relaysim.reports.confidence_sequences import (
    ConfidenceSequence,
    Prior,
    judge_sequence,
    mixture_bound,
    priors,
)

LOOKS = [500, 750, 1000, 1250, 1500, 2000, 2500, 3000, 3750, 4500, 5500, 6750, 8250, 10_000]
RUNS, RUNS_IN_SOAK = 500, 2_000


def claim(kind: str, **numbers: Any) -> ClaimSpec:
    return ClaimSpec.from_mapping({"id": "x", "title": "x", "kind": kind, "event": "e", **numbers})


BELOW = claim("below", limit=0.005)
ABOVE = claim("above", limit=0.99)
BETWEEN = claim("between", target=0.09, margin=0.01)


def single(count: int, n: int) -> Tally:
    """Trials of their own, one in each replication."""
    return Tally.of_single_trials(count, n)


def verdicts(spec: ClaimSpec, rate: float, *, error: float, runs: int, seed: int) -> dict[str, int]:
    """How often each verdict comes out, stopping at the first look that decides."""
    generator = np.random.default_rng(seed)
    steps = np.diff([0, *LOOKS])
    found = dict.fromkeys(("verified", "refuted", "inconclusive"), 0)
    for _ in range(runs):
        sequence = ConfidenceSequence(spec, error=error)
        for n, count in zip(LOOKS, generator.binomial(steps, rate).cumsum().tolist(), strict=True):
            sequence.look(single(count, n))
            if sequence.stopped_at is not None:
                break
        found[sequence.verdict] += 1
    return found


# Error rates


@pytest.mark.parametrize(
    ("spec", "rate", "wrong"),
    [
        (BELOW, 0.005, "verified"),  # "below" is false at the limit itself
        (BELOW, 0.005 - 1e-9, "refuted"),
        (ABOVE, 0.99, "verified"),
        (ABOVE, 0.99 + 1e-9, "refuted"),
        (BETWEEN, 0.1 + 1e-9, "verified"),
        (BETWEEN, 0.08 - 1e-9, "verified"),
        (BETWEEN, 0.1, "refuted"),
        (BETWEEN, 0.08, "refuted"),
    ],
)
@pytest.mark.parametrize("error", [0.01, 0.1])
@pytest.mark.parametrize("runs", [RUNS, pytest.param(RUNS_IN_SOAK, marks=pytest.mark.soak)])
def test_at_the_limit_the_wrong_verdict_is_as_rare_as_promised(
    spec: ClaimSpec, rate: float, wrong: str, error: float, runs: int
) -> None:
    found = verdicts(spec, rate, error=error, runs=runs, seed=20251104)
    assert found[wrong] <= error * runs
    if error == 0.1:
        assert found[wrong] > 0, "the runs are long enough for it to happen"


@pytest.mark.parametrize(
    ("spec", "rate", "right"),
    [
        (BELOW, 0.0, "verified"),
        (BELOW, 0.001, "verified"),
        (BELOW, 0.02, "refuted"),
        (ABOVE, 0.998, "verified"),
        (ABOVE, 0.97, "refuted"),
        (BETWEEN, 0.13, "refuted"),
        (BETWEEN, 0.05, "refuted"),
    ],
)
def test_off_the_limit_the_right_verdict_comes(spec: ClaimSpec, rate: float, right: str) -> None:
    assert verdicts(spec, rate, error=0.01, runs=200, seed=7) == {
        "verified": 0,
        "refuted": 0,
        "inconclusive": 0,
        right: 200,
    }


def test_ordinary_intervals_looked_at_again_and_again_are_wrong_far_too_often() -> None:
    """The contrast: why the bands are there at all."""
    generator = np.random.default_rng(11)
    counts = generator.binomial(np.diff([0, *LOOKS]), 0.09, size=(RUNS, len(LOOKS))).cumsum(axis=1)
    looks = np.array(LOOKS)
    low, high = stats.beta.ppf(0.005, counts, looks - counts + 1), stats.beta.ppf(0.995, counts + 1, looks - counts)
    excluded = ((low > 0.09) | (high < 0.09)).any(axis=1).mean()
    assert excluded > 0.03


def clustered(runs: int, rate: float, correlation: float, seed: int) -> list[list[Tally]]:
    """Runs of replications with 2 to about 40 trials each, whose own rates scatter; 1 lets all trials of one fare alike."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(runs):
        trials = 1 + generator.geometric(1 / 8, LOOKS[-1])
        if correlation == 1:
            events = np.where(generator.random(LOOKS[-1]) < rate, trials, 0)
        else:
            strength = 1 / correlation - 1
            events = generator.binomial(trials, generator.beta(rate * strength, (1 - rate) * strength, LOOKS[-1]))
        kinds = list(zip(events.tolist(), trials.tolist(), strict=True))
        tallies = [Tally(dict(Counter(kinds[:n]))) for n in LOOKS]
        made.append(tallies)
    return made


@pytest.mark.parametrize("correlation", [0.05, 0.3, 1])
@pytest.mark.parametrize(
    ("spec", "rate"),
    [(claim("below", limit=0.001), 0.001), (ABOVE, 0.99), (BETWEEN, 0.1 + 1e-9)],
    ids=["rare", "nearly always", "between"],
)
@pytest.mark.parametrize("runs", [20, pytest.param(300, marks=pytest.mark.soak)])
def test_clustered_trials_keep_the_promise(spec: ClaimSpec, rate: float, correlation: float, runs: int) -> None:
    error = 0.05
    wrong = 0
    for tallies in clustered(runs, rate, correlation, seed=3):
        sequence = ConfidenceSequence(spec, error=error)
        for tally in tallies:
            sequence.look(tally)
        assert sequence.method == "betting"
        wrong += sequence.verdict == "verified"
    assert wrong <= error * runs


def test_clustered_trials_taken_for_trials_of_their_own_would_break_it() -> None:
    """The other way round: the generator is one whose trials must not be taken for independent."""
    spec, runs = claim("below", limit=0.001), 100
    wrong = 0
    for tallies in clustered(runs, 0.001, 1, seed=3):
        sequence = ConfidenceSequence(spec, error=0.05)
        for tally in tallies:
            sequence.look(single(tally.count, tally.n))
        wrong += sequence.verdict == "verified"
    assert wrong > 0.2 * runs


# One band


@pytest.mark.parametrize(("count", "n"), [(0, 500), (3, 500), (45, 500), (90, 1000), (497, 500)])
@pytest.mark.parametrize("spec", [BELOW, ABOVE, BETWEEN])
def test_a_bound_is_where_the_mixture_reaches_one_over_alpha(spec: ClaimSpec, count: int, n: int) -> None:
    for prior, upper in zip(priors(spec), (False, True), strict=True):
        bound = mixture_bound(prior, count, n, 0.01, upper=upper)
        if bound in (0.0, 1.0):
            assert bound == (1.0 if upper else 0.0)
            continue

        def integrand(rate: float, prior: Prior = prior, at: float = bound) -> float:
            told = (prior.a - 1) * math.log(rate) + (prior.b - 1) * math.log1p(-rate)
            told += count * math.log(rate / at) + (n - count) * math.log((1 - rate) / (1 - at))
            return math.exp(told)

        def density(rate: float, prior: Prior = prior) -> float:
            return math.exp((prior.a - 1) * math.log(rate) + (prior.b - 1) * math.log1p(-rate))

        # In pieces, since the integrands are narrow and may have a pole at an end.
        edges = [prior.low, *[prior.low + (prior.high - prior.low) * share for share in (1e-6, 1e-4, 0.01)]]
        edges += [prior.low + (prior.high - prior.low) * share for share in np.linspace(0.02, 1, 60).tolist()]
        pieces = list(pairwise(edges))
        mass = sum(integrate.quad(density, low, high)[0] for low, high in pieces)
        mixed = sum(integrate.quad(integrand, low, high)[0] for low, high in pieces)
        assert mixed / mass == pytest.approx(100, rel=1e-3)


def test_the_priors_come_from_the_limit_alone() -> None:
    low, high = priors(claim("below", limit=0.001))
    assert (low, high) == (Prior(0.5, 1000, low=0.001), Prior(0.5, 1000, high=0.001))
    low, high = priors(claim("above", limit=0.75))
    assert (low, high) == (Prior(4, 0.5, low=0.75), Prior(4, 0.5, high=0.75))
    both, same = priors(BETWEEN)
    assert both == same
    spread = stats.beta(both.a, both.b)
    assert (spread.mean(), spread.std()) == (pytest.approx(0.09), pytest.approx(0.01))


@pytest.mark.parametrize("spec", [claim("below", limit=0.0), claim("above", limit=1.0), claim("below", limit=1.0)])
def test_a_limit_at_the_edge_of_all_rates_has_bands_too(spec: ClaimSpec) -> None:
    sequence = ConfidenceSequence(spec)
    low, high = sequence.band(single(5, 1000))
    assert 0 <= low < 0.005 < high <= 1


def test_without_any_event_a_band_ends_at_zero_and_decides_a_little_later_than_one_look_would() -> None:
    spec = claim("below", limit=0.001)
    deciding = next(n for n in range(4000, 7000, 50) if ConfidenceSequence(spec).band(single(0, n))[1] < 0.001)
    assert stats.beta.ppf(0.99, 1, 4602) > 0.001 > stats.beta.ppf(0.99, 1, 4603)  # the one look
    assert 4603 < deciding < 5800
    assert ConfidenceSequence(spec).band(single(0, deciding))[0] == 0.0


def test_bands_only_shrink_and_a_verdict_is_never_taken_back() -> None:
    sequence = ConfidenceSequence(BELOW)
    bands = [(look.low, look.high) for look in (sequence.look(single(n // 1000, n)) for n in LOOKS)]
    assert all(low <= later and upper >= end for (low, upper), (later, end) in pairwise(bands))
    assert sequence.verdict == "verified"
    stopped = sequence.stopped_at
    assert stopped in LOOKS
    sequence.look(single(3000, 12_000))
    assert (sequence.verdict, sequence.stopped_at) == ("verified", stopped)


def test_clusters_without_an_event_count_as_one_trial_each() -> None:
    spec = claim("below", limit=0.001, trials_max=10)
    sequence = ConfidenceSequence(spec)
    # 2,000 replications of 10 trials: 20,000 trials, which would do if each stood alone.
    sequence.look(Tally({(0, 10): 2_000}))
    assert sequence.verdict == "inconclusive"
    assert sequence.looks[-1].high == pytest.approx(ConfidenceSequence(spec).band(single(0, 2_000))[1], rel=0.15)


def test_a_larger_replication_than_was_thought_possible_begins_a_new_promise() -> None:
    sequence = ConfidenceSequence(BELOW)
    sequence.look(Tally({(0, 10): 500}))
    first = sequence.looks[-1]
    sequence.look(Tally({(0, 10): 500, (0, 20): 1}))
    assert sequence.looks[-1].high < first.high, "twice as large was thought possible"
    sequence.look(Tally({(0, 10): 500, (0, 20): 1, (21, 21): 1}))
    assert sequence.looks[-1].high > first.high


def test_a_replication_that_could_have_two_trials_is_bet_on_even_if_none_had_two() -> None:
    sequences = [ConfidenceSequence(claim("above", limit=0.99, trials_max=most)) for most in (1, 2)]
    for sequence in sequences:
        sequence.look(single(800, 800))
    assert [each.method for each in sequences] == ["exact", "betting"]
    assert [each.verdict for each in sequences] == ["verified", "inconclusive"]


def test_the_number_of_trials_that_a_replication_can_have_narrows_a_band() -> None:
    known, unknown = (ConfidenceSequence(claim("above", limit=0.99, **more)) for more in ({"trials_max": 10}, {}))
    for sequence in (known, unknown):
        sequence.look(Tally({(10, 10): 700}))
    assert (known.verdict, unknown.verdict) == ("verified", "inconclusive")
    needed = known.needed(Tally({(10, 10): 300}))
    assert needed is not None
    assert 4_600 < needed < 7_000


# What stands in the results


def test_the_entry_says_when_and_how_it_was_decided() -> None:
    sequence = ConfidenceSequence(BELOW, error=0.05)
    for n in (500, 1000, 2000):
        sequence.look(single(0, n))
    entry = judge_sequence(sequence, single(0, 2000), maximum=9000)
    assert entry["verdict"] == "verified"
    assert entry["confidence"] == 0.95
    assert entry["method"] == "exact"
    assert entry["stopped_at"] == 1000
    assert entry["interval"] == [0.0, entry["looks"][-1]["high"]]
    assert [look["n_replications"] for look in entry["looks"]] == [500, 1000, 2000]
    assert entry["why"] == "the whole band lies inside the limit: decided at 1,000 of 9,000 replications"
    assert entry["as_expected"]


def test_an_undecided_entry_says_how_many_trials_would_decide() -> None:
    sequence = ConfidenceSequence(BELOW)
    sequence.look(single(3, 1000))
    entry = judge_sequence(sequence, single(3, 1000), maximum=1000)
    assert (entry["verdict"], entry["stopped_at"], entry["as_expected"]) == ("inconclusive", None, False)
    needed = entry["needed"]
    decided = ConfidenceSequence(BELOW)
    decided.look(single(round(0.003 * needed * 1.01), round(needed * 1.01)))
    assert decided.verdict == "verified"
    assert f"about {needed:,} trials" in entry["why"]


def test_a_claim_that_was_never_met_is_inconclusive() -> None:
    sequence = ConfidenceSequence(BELOW)
    tally = Tally({(0, 0): 500})
    sequence.look(tally)
    entry = judge_sequence(sequence, tally, maximum=1000)
    assert (entry["verdict"], entry["reason"], entry["interval"]) == ("inconclusive", "never met", [0.0, 1.0])


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        ConfidenceSequence(BELOW, error=1.0)
    with pytest.raises(ValueError, match="has no rate"):
        ConfidenceSequence(claim("never"))
    with pytest.raises(ValueError, match="no bound for 3"):
        mixture_bound(Prior(1, 1), 3, 2, 0.01, upper=True)
    with pytest.raises(ValueError, match="5 events among only 4 trials"):
        ConfidenceSequence(BELOW).band(Tally({(2, 1): 1, (1, 1): 3}))
