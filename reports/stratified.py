"""Verdicts on rates that were measured stratum by stratum.

A rare event that needs a rare circumstance is hardly seen in worlds as they come. In strata, the circumstance is present in
a chosen share of the replications and absent in the others, and its probability, which is known, puts the parts together:

    P(event) = sum over the strata of P(stratum) P(event | stratum)

A replication of stratum f is an event of weight P(f) / (its share of the replications), or 0. These weights have the mean
P(event), and the interval is that of `relaysim.reports.betting` for their mean. How many replications are in each stratum is
known beforehand, so they are not drawn from one distribution, but that only helps: the expected fortune of a constant bet
is a product of as many factors as there are replications, whose mean is 1, so the product is 1 at most (the geometric mean
is never above the arithmetic one). The promise holds for any number of strata and replications.

Rates near 1 are judged by what did not happen: where all replications succeed, the absences have no spread, and the events
that of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relaysim.reports import betting, statistics
from relaysim.reports.claims import ClaimSpec, Tally, decide, judge
from relaysim.reports.statistics import rounded
from relaysim.sim.counted import counted

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
    import numpy as np

    _check(strata)
    total = math.fsum(each.n for each in strata)
    kinds = []
    for each in strata:
        count = each.n - each.count if by_absence else each.count
        weight = each.probability * total / each.n
        kinds += [(weight, count), (0.0, each.n - count)]
    largest = max(weight for weight, _ in kinds)
    events, times = np.array([(weight / largest, times) for weight, times in kinds if times > 0]).T
    worlds = betting.Worlds(events=events, trials=np.ones_like(events), times=times)
    low, high = (min(1.0, largest * end) for end in betting.bounds(worlds, alpha, planned=total))
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
            "observed": min(1.0, tally.count / tally.n) if tally.n else None,
        }
        for probability, tally in zip(probabilities, tallies, strict=True)
    ]
    strata = [Stratum(probability, t.count, t.n) for probability, t in zip(probabilities, tallies, strict=True)]
    occurred = spec.rules.is_about_occurrence and total.count > 0
    if not all(each.n for each in strata):
        entry |= {"observed": None, "interval": [0.0, 1.0]}
        if not occurred:
            entry |= {"verdict": "inconclusive", "reason": "never met", "why": "a stratum has no replication"}
            _forget_needed(entry)
    else:
        low, high = _interval(spec, strata)
        entry |= {"observed": rounded(stratified_rate(strata)), "interval": [low, high]}
        if spec.rules.is_about_occurrence and entry["verdict"] == "verified":
            sure = 100 * (1 - spec.alpha)
            entry["why"] = f"did not happen; its rate is below {high * 100:.3g} % at {sure:.3g} % confidence"
        elif not spec.rules.is_about_occurrence:
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
    message = (
        f"the interval crosses the limit; about {counted(needed, 'replication')} would decide, should the rates stay"
    )
    return {"verdict": verdict, "needed": needed, "needed_replications": needed, "why": message}
