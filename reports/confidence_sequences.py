"""Verdicts that may be looked at while the trials are still coming: confidence sequences.

An ordinary 99 % interval promises its 99 % for one look. Whoever looks again after every thousand trials, and stops at the
first interval that suits, is wrong several times as often. The bands here are valid at all looks at once: with probability
1 - alpha or more the true rate lies in every one of them, so a run may stop at the first band that lies inside the
limit or outside it, and stopping there costs no confidence.

*Trials of their own* (each replication at most one): the beta-binomial mixture. With s events among n trials and a prior
Beta(a, b) that is fixed before any data, under the true rate p

    M(p) = B(a + s, b + n - s) / (B(a, b) p**s (1 - p)**(n - s))

is a non-negative martingale that starts at 1, so it ever reaches 1/alpha with probability alpha at most (Ville); the
band is {p : M(p) < 1/alpha}. For a claim with one limit each bound has a mixture of its own, over the rates on the far side
of the limit only, since those are all that the bound has to tell from the limit. The promise is exact, for every n.

*Trials that share replications* are no independent trials, and M is no martingale there. Replications are independent, and
the bands are then those of `relaysim.reports.betting`, whose promise is exact, too, for any distribution over replications
with at most a known number of trials each. Where that number is not known, it is taken from the first look, see
`relaysim.reports.claims.LARGER_UNSEEN`.

Bands are intersected from look to look, so they only ever shrink. scipy is imported inside the functions that need it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from relaysim.reports import betting, statistics
from relaysim.reports.claims import (
    ALPHA,
    ClaimSpec,
    Tally,
    Verdict,
    decide,
    judge,
    largest_world,
    replications_needed,
)
from relaysim.reports.statistics import rounded
from relaysim.sim.counted import counted

Method = Literal["exact", "betting"]

#: Kinds of claims that have a rate to be decided on; the others are judged on whatever was run.
#: Bets of a sequence are chosen for this many replications, unless its longest run is known.
PLANNED = 10_000
#: Rates of a prior stay this far from 0 and 1, where a beta distribution has no shape.
_EDGE = 1e-9
_HALVINGS = 70


@dataclass(frozen=True, slots=True)
class Prior:
    """A beta distribution over rates, and the part of them that it is cut down to."""

    a: float
    b: float
    low: float = 0.0
    high: float = 1.0

    def log_mass(self, events: float = 0.0, others: float = 0.0) -> float:
        """The logarithm of the integral of q**(a + events - 1) (1 - q)**(b + others - 1) over the rates it is cut to.

        Minus infinity where that is too small for a float.
        """
        from scipy import special

        a, b = self.a + events, self.b + others
        mass = 1.0
        if self.high < 1.0:
            mass = float(special.betainc(a, b, self.high))
        elif self.low > 0.0:
            mass = float(special.betaincc(a, b, self.low))
        return float(special.betaln(a, b)) + (math.log(mass) if mass > 0.0 else -math.inf)


def priors(spec: ClaimSpec) -> tuple[Prior, Prior]:
    """The priors of a claim's lower and upper bound, from what it claims and from nothing else.

    `between`: one for both, around the target with the margin as its standard deviation, since bands of about that width
    decide. `below` and `above`: Beta(1/2, 1/limit), mirrored for limits above one half, so that its rates are of the limit's
    own size; for the lower bound cut to the rates above the limit, for the upper bound to those below.
    """
    if spec.rules.sides == 2:
        low, high = spec.limits
        middle = min(max((low + high) / 2, _EDGE), 1 - _EDGE)
        strength = max(1.0, middle * (1 - middle) / max((high - low) / 2, _EDGE) ** 2 - 1)
        both = Prior(strength * middle, strength * (1 - middle))
        return both, both
    limit = spec.limits[0 if spec.rules.denies_absence else 1]
    near = min(max(min(limit, 1 - limit), _EDGE), 0.5)
    a, b = (0.5, 1 / near) if limit <= 0.5 else (1 / near, 0.5)
    if not _EDGE <= limit <= 1 - _EDGE:
        return Prior(a, b), Prior(a, b)
    return Prior(a, b, low=limit), Prior(a, b, high=limit)


def mixture_bound(prior: Prior, count: float, n: float, alpha: float, *, upper: bool) -> float:
    """One end of {p : M(p) < 1/alpha}, for `count` events among `n` trials, neither of which need be whole.

    Raises ValueError unless 0 <= count <= n and 0 < alpha < 1.
    """
    if not 0 <= count <= n or not 0 < alpha < 1:
        raise ValueError(f"no bound for {count!r} events among {n!r} trials at alpha {alpha!r}")
    others = n - count
    if n == 0 or (others == 0 if upper else count == 0):
        return 1.0 if upper else 0.0
    least = prior.log_mass(count, others) - prior.log_mass() + math.log(alpha)
    if least == -math.inf:
        return 1.0 if upper else 0.0
    # The likelihood rises up to the observed rate and falls from there on, so each end is the only one on its side.
    inside, outside = count / n, 1.0 if upper else 0.0
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        if _log_likelihood(count, others, middle) > least:
            inside = middle
        else:
            outside = middle
    return outside


def _log_likelihood(count: float, others: float, rate: float) -> float:
    events = count * math.log(rate) if count else 0.0
    return events + (others * math.log1p(-rate) if others else 0.0)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw: how much had been run, and the band, intersected with those of all looks before."""

    n_replications: int
    n: int
    count: int
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """The look as plain data."""
        return {
            "n_replications": self.n_replications,
            "n": self.n,
            "count": self.count,
            "low": self.low,
            "high": self.high,
        }


class ConfidenceSequence:
    """One claim's band from look to look, and what it decides.

    Args:
        spec: a claim that has a rate (`ClaimKind.has_rate`).
        error: the share of runs in which a family of claims may be decided wrongly, above 0 and below 1; this claim gets
            its `alpha_share` of it.
        planned: at most about how many replications there will be. Bands hold beyond it, too.

    Attributes:
        looks: all looks so far.
        verdict: `inconclusive` until a band decides, and from then on that verdict: no later look takes it back.
        stopped_at: the replications after which it was decided; None until then.
        method: `exact` (the beta-binomial mixture) while each replication had at most one trial, else `betting`.
    """

    def __init__(self, spec: ClaimSpec, *, error: float = ALPHA, planned: int = PLANNED) -> None:
        if not spec.rules.has_rate:
            raise ValueError(f"claim {spec.id!r}: a claim of kind {spec.kind!r} has no rate to look at")
        if not 0 < error < 1:
            raise ValueError(f"error must lie strictly between 0 and 1, not {error!r}")
        self.spec = spec
        self.alpha = error * spec.alpha_share
        self.looks: list[Look] = []
        self.verdict: Verdict = "inconclusive"
        self.stopped_at: int | None = None
        self.method: Method = "exact"
        self._priors = priors(spec)
        self._planned = planned
        self._trials_max = 0
        self._band = (0.0, 1.0)

    def look(self, tally: Tally) -> Look:
        """Look at all trials so far; each look's tally must hold those of the look before."""
        if max(tally.trials_max, self.spec.trials_max or 0) > max(self._trials_max, 1):
            # A replication that is larger than was thought possible: what was seen before belongs to another promise.
            self.method, self._band = "betting", (0.0, 1.0)
            self._trials_max = largest_world(tally, self.spec.trials_max)
        low, high = self.band(tally)
        if max(low, self._band[0]) <= min(high, self._band[1]):
            low, high = max(low, self._band[0]), min(high, self._band[1])
        # Bands that contradict each other are among the runs that alpha allows for: the newest is then the best known.
        self._band = low, high
        if self.verdict == "inconclusive" and tally.n:
            self.verdict = decide(self.spec, low, high)
            if self.verdict != "inconclusive":
                self.stopped_at = tally.replications
        seen = Look(tally.replications, tally.n, tally.count, low, high)
        self.looks.append(seen)
        return seen

    def band(self, tally: Tally) -> tuple[float, float]:
        """The band of this look alone; without trials all of 0 to 1. Raises ValueError for more events than trials."""
        if tally.count > tally.n:
            raise ValueError(f"claim {self.spec.id!r}: {tally.count} events among only {tally.n} trials")
        if not tally.n:
            return 0.0, 1.0
        if self.method == "exact":
            low, high = self._mixture(tally.count, tally.n)
        else:
            worlds = betting.Worlds.counted(tally.worlds, self._trials_max)
            low, high = betting.bounds(worlds, self._alpha_of_one_side, planned=self._planned)
        return rounded(low), rounded(high)

    def needed(self, tally: Tally) -> int | None:
        """About how many trials would decide, should the rate stay; None if no number would."""
        if self.method == "betting":
            replications = replications_needed(
                self.spec,
                tally,
                alpha=self._alpha_of_one_side,
                trials_max=self._trials_max,
                planned=self._planned,
            )
            return None if replications is None else math.ceil(replications * tally.n / tally.replications)

        def decides(count: float, n: float) -> bool:
            low, high = self._mixture(count, n)
            return decide(self.spec, rounded(low), rounded(high)) != "inconclusive"

        return statistics.trials_to_decide(decides, tally.count / tally.n)

    @property
    def _alpha_of_one_side(self) -> float:
        return self.alpha / self.spec.rules.sides

    def _mixture(self, count: float, n: float) -> tuple[float, float]:
        for_low, for_high = self._priors
        return (
            mixture_bound(for_low, count, n, self.alpha, upper=False),
            mixture_bound(for_high, count, n, self.alpha, upper=True),
        )


def judge_sequence(sequence: ConfidenceSequence, tally: Tally, *, maximum: int, replay: str = "") -> dict[str, Any]:
    """The claim's entry in `results.json`: as `relaysim.reports.claims.judge` makes it, decided on the bands.

    Its `interval` is the last band, `looks` are all of them, `method` is exact or betting, and `stopped_at` the number of
    replications that decided, None if `maximum` replications did not. `tally` is that of the last look.
    """
    entry = judge(sequence.spec, tally, replay=replay)
    for name in ("needed", "needed_replications"):
        entry.pop(name, None)
    entry |= {
        "confidence": rounded(1 - sequence.alpha),
        "method": sequence.method,
        "looks": [look.to_dict() for look in sequence.looks],
        "stopped_at": sequence.stopped_at,
    }
    if sequence.looks:
        entry["interval"] = [sequence.looks[-1].low, sequence.looks[-1].high]
    if not tally.n:
        return entry
    entry |= {"verdict": sequence.verdict, **_why(sequence, tally, maximum)}
    entry["as_expected"] = entry["verdict"] == sequence.spec.expect
    return entry


def _why(sequence: ConfidenceSequence, tally: Tally, maximum: int) -> Mapping[str, Any]:
    if sequence.stopped_at is not None:
        side = "inside" if sequence.verdict == "verified" else "outside"
        decided = f"decided at {sequence.stopped_at:,} of {counted(maximum, 'replication')}"
        return {"why": f"the whole band lies {side} the limit: {decided}"}
    needed = sequence.needed(tally)
    if needed is None:
        return {"why": "the observed rate lies on the limit, and no number of trials would decide"}
    replications = math.ceil(needed * tally.replications / tally.n)
    if replications <= tally.replications:
        return {"why": f"the band crosses the limit after {counted(tally.replications, 'replication')}"}
    among = "" if needed == replications else f" ({counted(replications, 'replication')})"
    message = f"the band crosses the limit; about {counted(needed, 'trial')}{among} would decide, should the rate stay"
    return {"needed": needed, "needed_replications": replications, "why": message}
