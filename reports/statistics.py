"""Intervals, design effects and trial counts: the arithmetic under every verdict.

A trial is one seeded replication, or one message in it. Messages of one replication share its outages and locks, so
they are no independent trials: `design_effect` measures from the replications themselves how much less they tell, and
the interval is then that of the *effective* number of trials (Korn and Graubard, Survey Methodology 24, 1998).

Every interval is Clopper and Pearson's (Biometrika 26, 1934), which never covers less than it promises. It is taken
from beta quantiles, so that it accepts an effective number of trials that is no whole number. scipy is imported inside
the functions that need it: importing it takes longer than most commands run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: Intervals are rounded to this many decimals before anything is decided on them, so that the last bits, which may
#: differ between processors, reach neither a verdict nor a results file.
DECIMALS = 12


@dataclass(frozen=True, slots=True)
class Clustering:
    """How much trials that share replications tell.

    `deff` (>= 1) is the design effect: the variance of the observed rate over that of as many independent trials.
    `n_effective` (> 0, <= n) is `n / deff`.
    """

    deff: float
    n_effective: float


def _beta_quantile(a: float, b: float, probability: float) -> float:
    from scipy import special

    return float(special.betaincinv(a, b, probability))


def _check(count: float, n: float, alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha!r}")
    if not n > 0:
        raise ValueError(f"an interval needs at least one trial, not n={n!r}")
    if not 0 <= count <= n:
        raise ValueError(f"the count must lie between 0 and n={n!r}, not {count!r}")


def lower_bound(count: float, n: float, alpha: float) -> float:
    """One-sided Clopper-Pearson lower bound of a rate at confidence `1 - alpha`.

    Raises ValueError unless 0 <= count <= n, n > 0 and 0 < alpha < 1. Neither count nor n need be whole numbers.
    """
    _check(count, n, alpha)
    return 0.0 if count <= 0 else _beta_quantile(count, n - count + 1, alpha)


def upper_bound(count: float, n: float, alpha: float) -> float:
    """One-sided Clopper-Pearson upper bound of a rate at confidence `1 - alpha`. Raises like `lower_bound`."""
    _check(count, n, alpha)
    return 1.0 if count >= n else _beta_quantile(count + 1, n - count, 1 - alpha)


def clopper_pearson(count: float, n: float, alpha: float) -> tuple[float, float]:
    """Two-sided Clopper-Pearson interval of a rate at confidence `1 - alpha`. Raises like `lower_bound`."""
    _check(count, n, alpha)
    return lower_bound(count, n, alpha / 2), upper_bound(count, n, alpha / 2)


def design_effect(
    *, sum_cc: int, sum_cn: int, sum_nn: int, count: int, n: int, replications: int, alpha: float = 0.01
) -> Clustering:
    """How much n trials in `replications` replications tell, from sums over the replications.

    With c events among m trials in a replication, `sum_cc`, `sum_cn` and `sum_nn` are the sums of c*c, c*m and m*m.
    `replications` counts those that had a trial.

    The observed rate is a ratio of two totals, so its variance is the ratio estimator's:
    R/(R-1) * sum((c - rate*m)**2) / n**2. The design effect is that over rate*(1-rate)/(n-1), times
    (t quantile with R-1 / with n-1 degrees of freedom)**2, Korn and Graubard's price for estimating a variance from
    few replications. Then:

    - at most one trial per replication: exactly 1, nothing is clustered;
    - never below 1: an estimate below 1 is luck, and luck must not narrow an interval;
    - never above n: n trials tell at least what one does;
    - an event that happened never or always shows no variance at all, so only the price for few replications is paid
      (what survey practice does, NCHS 2017): whether such events would come in clusters is then unknown;
    - one replication alone: n. It is a single trial, however many messages it holds.

    Raises ValueError if the sums cannot belong to `count` events among `n` trials.
    """
    if n < 1 or not 0 <= count <= n or not 1 <= replications <= n:
        raise ValueError(f"no design effect for count={count}, n={n}, replications={replications}")
    if sum_nn < n or sum_cc < count or sum_nn * replications < n * n:
        raise ValueError(f"sums of squares {sum_cc}, {sum_nn} do not belong to {count} events among {n} trials")
    if sum_nn == n:
        return Clustering(1.0, float(n))
    if replications == 1:
        return Clustering(float(n), 1.0)
    if count in (0, n):
        ratio = 1.0
    else:
        # Whole numbers as long as possible: the difference below is small against its terms.
        squares = sum_cc * n * n - 2 * count * sum_cn * n + count * count * sum_nn
        ratio = replications * squares * (n - 1) / ((replications - 1) * n * n * count * (n - count))
    deff = min(max(1.0, ratio) * max(1.0, _few_replications(replications, n, alpha)), float(n))
    return Clustering(deff, n / deff)


def _few_replications(replications: int, n: int, alpha: float) -> float:
    from scipy import special

    tail = 1 - alpha / 2
    return float((special.stdtrit(replications - 1, tail) / special.stdtrit(n - 1, tail)) ** 2)


def trials_to_decide(decides: Callable[[float, float], bool], rate: float, *, n_max: int = 10**9) -> int | None:
    """About how many independent trials would decide a claim, should the rate stay as observed.

    `decides(count, n)` says whether that count would be verified or refuted. Doubles n until it decides, then closes
    in; counts go by whole steps, so the answer is good to a few trials, not to one. None if `n_max` trials would not
    do, which is so when the observed rate lies on the limit.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate lies between 0 and 1, not {rate!r}")
    high = 1
    while not decides(rate * high, high):
        high *= 2
        if high > n_max:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if decides(rate * middle, middle):
            high = middle
        else:
            low = middle
    return high


def rounded(value: float) -> float:
    """`value` to `DECIMALS` decimals, and never a negative zero."""
    if not math.isfinite(value):
        raise ValueError(f"a result must be a finite number, not {value!r}")
    return round(value, DECIMALS) + 0.0
