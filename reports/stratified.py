"""Verdicts on rates that were measured stratum by stratum.

A rare event that needs a rare circumstance is hardly seen in worlds as they come. In strata, the circumstance is present in
a chosen share of the replications and absent in the others, and its probability, which is known, puts the parts together:

    P(event) = sum over the strata of P(stratum) P(event | stratum)

The interval is that of Fay and Feuer (Statistics in Medicine 16, 1997) for a weighted sum of Poisson counts, from gamma
quantiles. It takes each count for a Poisson variable, whose variance is at least that of the binomial one that it is, and
its upper end counts one more event in the stratum with the largest weight, so it errs on the side of being too wide; with
a single stratum it is the exact Poisson interval. Rates near 1 are judged by what did not happen. scipy is imported inside
the function that needs it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relaysim.reports import statistics
from relaysim.reports.claims import ClaimSpec, Tally, decide, judge
from relaysim.reports.statistics import rounded

#: The kinds of claims that can be judged in strata, each among whole replications.


@dataclass(frozen=True, slots=True)
class Stratum:
    """What was seen in one stratum: its probability (0 to 1), and `count` events among `n` replications."""

    probability: float
    count: float
    n: float


def stratified_rate(strata: Sequence[Stratum]) -> float:
    """The estimate: each stratum's observed rate, weighed by its probability. Raises ValueError for one without trials."""
    _check(strata)
    return math.fsum(each.probability * each.count / each.n for each in strata)


def stratified_interval(strata: Sequence[Stratum], alpha: float, *, by_absence: bool = False) -> tuple[float, float]:
    """A lower and an upper bound of the rate, each wrong with probability `alpha` at most.

    `by_absence` takes the trials without the event for the rare ones. Raises ValueError for a stratum without trials, with
    more events than trials, or for an alpha that is not strictly between 0 and 1.
    """
    from scipy import special

    _check(strata)
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha!r}")
    weights = [each.probability / each.n for each in strata]
    counts = [each.n - each.count if by_absence else each.count for each in strata]
    rate = math.fsum(weight * count for weight, count in zip(weights, counts, strict=True))
    variance = math.fsum(weight * weight * count for weight, count in zip(weights, counts, strict=True))
    low = float(special.gammaincinv(rate * rate / variance, alpha)) * variance / rate if rate > 0 else 0.0
    one_more = max(weights)
    rate, variance = rate + one_more, variance + one_more * one_more
    high = min(1.0, float(special.gammainccinv(rate * rate / variance, alpha)) * variance / rate)
    low = min(low, high)
    return (1 - high, 1 - low) if by_absence else (low, high)


def _check(strata: Sequence[Stratum]) -> None:
    for each in strata:
        if not each.n > 0 or not 0 <= each.count <= each.n:
            raise ValueError(f"a stratum needs trials, and at most as many events: {each.count!r} of {each.n!r}")


def judge_stratified(
    spec: ClaimSpec, tallies: Sequence[Tally], probabilities: Sequence[float], *, replay: str = ""
) -> dict[str, Any]:
    """The claim's entry in `results.json`, as `relaysim.reports.claims.judge` makes it: the weighed rate and its interval.

    Args:
        spec: of a kind that counts an event, among replications.
        tallies: one per stratum.
        probabilities: the strata's, in the same order; they add up to 1.
        replay: see `relaysim.reports.claims.judge`.

    `count` and `n` are what was run, and `strata` has each stratum's part. A stratum that no replication fell into leaves
    the interval at all of 0 to 1.
    """
    if spec.rules.reads_series:
        raise ValueError(f"claim {spec.id!r}: a claim of kind {spec.kind!r} cannot be judged in strata")
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    entry = judge(spec, total, replay=replay)
    entry["strata"] = [
        {
            "probability": rounded(probability),
            "count": tally.count,
            "n": tally.n,
            "observed": tally.count / tally.n if tally.n else None,
        }
        for probability, tally in zip(probabilities, tallies, strict=True)
    ]
    strata = [Stratum(probability, t.count, t.n) for probability, t in zip(probabilities, tallies, strict=True)]
    refuted = spec.rules.occurrence_refutes and total.count > 0
    if not all(each.n for each in strata):
        entry |= {"observed": None, "interval": [0.0, 1.0]}
        if not refuted:
            entry |= {"verdict": "inconclusive", "reason": "never met", "why": "a stratum has no replication"}
            _forget_needed(entry)
    else:
        low, high = _interval(spec, strata)
        entry |= {"observed": rounded(stratified_rate(strata)), "interval": [low, high]}
        if spec.rules.occurrence_refutes and not refuted:
            sure = 100 * (1 - spec.alpha)
            entry["why"] = f"did not happen; its rate is below {high * 100:.3g} % at {sure:.3g} % confidence"
        elif not spec.rules.occurrence_refutes:
            _forget_needed(entry)
            entry |= _decided(spec, strata, low, high)
    entry["as_expected"] = entry["verdict"] == spec.expect
    return entry


def _forget_needed(entry: dict[str, Any]) -> None:
    for name in ("needed", "needed_replications"):
        entry.pop(name, None)


def _interval(spec: ClaimSpec, strata: Sequence[Stratum]) -> tuple[float, float]:
    # Which of the two is the rare one is read from the claim, not from what was seen.
    low, high = spec.limits
    two_sided = spec.rules.sides == 2
    by_absence = spec.rules.denies_absence or (two_sided and low + high > 1)
    alpha = spec.alpha / 2 if two_sided else spec.alpha
    low, high = stratified_interval(strata, alpha, by_absence=by_absence)
    return rounded(low), rounded(high)


def _decided(spec: ClaimSpec, strata: Sequence[Stratum], low: float, high: float) -> dict[str, Any]:
    verdict = decide(spec, low, high)
    if verdict != "inconclusive":
        side = "inside" if verdict == "verified" else "outside"
        return {"verdict": verdict, "why": f"the whole interval lies {side} the limit"}
    total = sum(each.n for each in strata)

    def decides(_: float, n: float) -> bool:
        times = n / total
        more = [Stratum(each.probability, each.count * times, each.n * times) for each in strata]
        return decide(spec, *_interval(spec, more)) != "inconclusive"

    needed = statistics.trials_to_decide(decides, 0.0)
    if needed is None:
        return {"verdict": verdict, "why": "the observed rate lies on the limit, and no number of trials would decide"}
    message = f"the interval crosses the limit; about {needed:,} replications would decide, should the rates stay"
    return {"verdict": verdict, "needed": needed, "needed_replications": needed, "why": message}
