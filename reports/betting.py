"""Bounds of a rate that hold for any distribution over worlds: betting against each rate that might be the true one.

Messages of one world share its outages, and an outage that no world has met yet shows in no variance. So nothing is
estimated here about how trials stand together. A world is one observation, worlds are independent because their seeds
are, and all that is assumed of a world is how many trials it can have at most.

Of world w, x events among n trials are seen, and no world has more than m trials. If the rate, which is E[x] / E[n], is
p or less, then

    K(p) = average over the bets c of the product over the worlds of (1 + c (x / p - n) / m),    0 <= c <= 1,

is a non-negative supermartingale that starts at 1: the fortune of a gambler who bets that the rate is larger than p. It
ever reaches 1/alpha with probability alpha at most (Ville), after whatever number of worlds. So the lower bound is the
smallest p whose K(p) is below 1/alpha, and the upper bound is that of the trials without the event, counted from 1. These
are the confidence sequences by betting of Waudby-Smith and Ramdas (Journal of the Royal Statistical Society B 86, 2024)
with a mixture over constant bets in place of bets that follow the data, for two reasons: a product of constant bets does
not depend on the order of the worlds, so sums from many processes are enough; and where each world is one trial, the
mixture over bets is the beta-binomial mixture over rates.

The bets that pay lie between the one that is best when all trials of a world fare alike (small, falls with the root of
the number of worlds) and 1 (all is staked: best if nothing fails). They get equal weights on a logarithmic scale, and the
bet 1, which wins against rates that nothing speaks for, a quarter of all weight. Which bets are small enough depends on p,
so K has other weights in each of the intervals of `_ENDS`; within one it falls with p, and convexly.

numpy and scipy are imported inside the functions that need them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The intervals of rates, by their upper ends, in each of which the bets have the same weights.
_ENDS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
#: The same for differences of rates: from an interval's upper end it is known how much can be lost at most.
_DIFFERENCE_ENDS = (-0.75, -0.5, -0.2, -0.1, -0.05, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
#: For the first interval, the rate by which its bets are chosen.
_LEAST_RATE = 1e-6
#: The weight of the bet 1.
_ALL_IN = 0.25
#: Bets are this far apart, in units of their logarithm: half a standard deviation of a mixture that decides at 1 %.
_STEP = 0.15
_BETS = 120
#: No bet is below this share of the one that is best if all trials of a world fare alike.
_SMALLEST = 2 / 3
#: How near a bound is to where K crosses 1/alpha.
_NEAR = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class Worlds:
    """What worlds showed, each as a share of the most trials that a world can have.

    `events` (0 or more) and `trials` (`events` or more, at most 1) have one value for each kind of world, and `times` says
    how many worlds are of that kind, which is above 0 and need be no whole number. Raises ValueError for other numbers.
    """

    events: NDArray[Any]
    trials: NDArray[Any]
    times: NDArray[Any]

    def __post_init__(self) -> None:
        shares = (self.events >= 0) & (self.events <= self.trials) & (self.trials <= 1)
        if not (shares & (self.times > 0)).all():
            raise ValueError("each kind of world has 0 <= events <= trials <= 1, and was seen more than 0 times")

    @classmethod
    def counted(cls, worlds: Mapping[tuple[int, int], int], most: float) -> Worlds:
        """From how many worlds had so many events among so many trials.

        Args:
            worlds: by (events, trials). Events beyond the trials count as no more than these.
            most: the most trials that any world can have, also one that was not seen.

        Raises ValueError for a world with more trials than `most`, or with negative numbers.
        """
        import numpy as np

        seen = [(*kind, worlds[kind]) for kind in sorted(worlds) if worlds[kind]]
        kinds = np.array(seen, dtype=np.float64).reshape(-1, 3)
        events, trials, times = kinds.T
        if len(kinds) and (kinds.min() < 0 or trials.max() > most):
            raise ValueError(f"worlds have 0 to {most:g} trials, not {trials.min():g} to {trials.max():g}")
        return cls(events=np.minimum(events, trials) / most, trials=trials / most, times=times)

    @property
    def without_the_event(self) -> Worlds:
        """The same worlds, with the other trials as the events."""
        return replace(self, events=self.trials - self.events)


def lower_bound(worlds: Worlds, alpha: float, *, planned: float) -> float:
    """A rate that the true one is below with probability `alpha` at most, whatever number of worlds has been seen.

    Args:
        worlds: all that were seen.
        alpha: above 0 and below 1.
        planned: about how many worlds the bound is to be best for, above 0. It must be known before the first world is
            seen, and has no part in the guarantee.

    Raises ValueError for numbers out of range.
    """
    _check(alpha, planned)
    if not (worlds.events * worlds.times).any():
        return 0.0

    def log_capital(rate: float, below: float, _: float) -> float:
        bets, log_weights = _bets(below, alpha, planned)
        return _log_mixture(_log_fortunes(worlds, rate, bets), log_weights)

    return _smallest_not_excluded(log_capital, 0.0, _ENDS, alpha)


def _smallest_not_excluded(
    log_capital: Callable[[float, float, float], float], least: float, ends: Sequence[float], alpha: float
) -> float:
    """The smallest value whose capital is below 1/alpha, from `least` on, interval by interval.

    `log_capital` is given the value and both ends of its interval, within which it falls. Errs to the smaller side.
    """
    from scipy.optimize import brentq

    below = least
    for end in ends:

        def missing(value: float, below: float = below, end: float = end) -> float:
            return -math.log(alpha) - log_capital(value, below, end)

        if missing(end) > 0:
            start = below + _NEAR
            if missing(start) >= 0:
                return below
            return max(below, float(brentq(missing, start, end, xtol=_NEAR)) - _NEAR)
        below = end
    return ends[-1]


def bounds(worlds: Worlds, alpha: float, *, planned: float) -> tuple[float, float]:
    """A lower and an upper bound of the rate, each wrong with probability `alpha` at most; see `lower_bound`.

    What was observed lies between them: near 0 and 1, bets that begin at a half may rule out the very rate that was seen.
    """
    low, high = _betting_bounds(worlds, alpha, planned=planned)
    trials = float((worlds.trials * worlds.times).sum())
    if not trials:
        return low, high
    observed = float((worlds.events * worlds.times).sum()) / trials
    return min(low, observed), max(high, observed)


def _betting_bounds(worlds: Worlds, alpha: float, *, planned: float) -> tuple[float, float]:
    low = lower_bound(worlds, alpha, planned=planned)
    high = 1.0 - lower_bound(worlds.without_the_event, alpha, planned=planned)
    return low, high


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two policies showed in the same worlds, each as `Worlds`, both in the same order and seen equally often."""

    first: Worlds
    second: Worlds

    @classmethod
    def counted(cls, pairs: Mapping[tuple[int, int, int, int], int], most: float) -> Pairs:
        """From how many worlds had so many (events, trials) of the first, and (events, trials) of the second.

        Raises ValueError like `Worlds`, for more events than trials, too.
        """
        import numpy as np

        kinds = np.array([(*kind, pairs[kind]) for kind in sorted(pairs)], dtype=np.float64).reshape(-1, 5)
        times = kinds[:, 4]
        first, second = (
            Worlds(events=kinds[:, at] / most, trials=kinds[:, at + 1] / most, times=times) for at in (0, 2)
        )
        return cls(first, second)

    @property
    def swapped(self) -> Pairs:
        """The second first."""
        return Pairs(self.second, self.first)


def difference_bounds(pairs: Pairs, alpha: float, *, planned: float) -> tuple[float, float]:
    """A lower and an upper bound of the first rate minus the second; one of them is wrong with probability `alpha` at most.

    With events x and y among n and k trials in a world, and a difference of d or less, the bets are on
    x - y - d n - q (n - k) being positive, where q is the second rate. It has no part where both have the same trials in
    every world. Otherwise it lies in its own bounds but for a tenth of `alpha`, and the capital of a bet, which is
    log-concave in q, is nowhere between them less than at one of the two.
    """
    _check(alpha, planned)
    lows = []
    for pair in (pairs, pairs.swapped):
        rates: tuple[float, ...] = (0.0,)
        if (pair.first.trials != pair.second.trials).any():
            rates = _betting_bounds(pair.second, 0.025 * alpha, planned=planned)
        lows.append(_difference_lower_bound(pair, 0.45 * alpha, planned, rates))
    return lows[0], -lows[1]


def _difference_lower_bound(pairs: Pairs, alpha: float, planned: float, second_rates: Sequence[float]) -> float:
    import numpy as np

    first, second = pairs.first, pairs.second
    bets, log_weights = _bets(0.5, alpha, planned)

    def log_capital(difference: float, _: float, end: float) -> float:
        fortunes = []
        for rate in second_rates:
            gains = first.events - second.events - difference * first.trials - rate * (first.trials - second.trials)
            # The most that can be lost is 1 + the difference, so that is what a bet of 1 stakes.
            fortunes.append(_log_growths(gains / (1 + end), bets) @ first.times)
        return _log_mixture(np.minimum.reduce(fortunes), log_weights)

    return _smallest_not_excluded(log_capital, -1.0, _DIFFERENCE_ENDS, alpha)


@dataclass(frozen=True, slots=True)
class Growth:
    """How the fortune against one rate grows with the number of worlds, should they go on as those that were seen.

    `log_fortunes` has one for each bet that there is, after all worlds that were seen.
    """

    rate: float
    alpha: float
    log_fortunes: NDArray[Any]

    def rejects(self, times: float, planned: float) -> bool:
        """Whether `times` as many worlds, of about `planned`, would exclude the rate and those on its far side."""
        bets, log_weights = _bets(_interval_of(self.rate), self.alpha, planned)
        fortunes = times * self.log_fortunes[: len(bets)]
        return _log_mixture(fortunes, log_weights) >= -math.log(self.alpha)


def growth(worlds: Worlds, rate: float, alpha: float) -> Growth:
    """How evidence grows that the true rate is above `rate`. Raises ValueError for numbers out of range."""
    _check(alpha, 1)
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate lies between 0 and 1, not {rate!r}")
    return Growth(rate, alpha, _log_fortunes(worlds, max(rate, _NEAR), _all_bets()))


def _check(alpha: float, planned: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha!r}")
    if not planned > 0:
        raise ValueError(f"a bound is planned for some number of worlds, not {planned!r}")


@cache
def _all_bets() -> NDArray[Any]:
    """The bets that there are, from 1 down; those near 1 are closer together, because a lost one costs nearly all."""
    import numpy as np

    return np.concatenate([[1.0, 0.99, 0.97, 0.93], np.exp(-_STEP * np.arange(1, _BETS))])


def _bets(below: float, alpha: float, planned: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The bets for rates above `below`, up to the next of `_ENDS`, and the logarithms of their weights."""
    import numpy as np

    rate = max(below, _LEAST_RATE)
    best_if_alike = math.sqrt(-2 * math.log(alpha) * rate / ((1 - rate) * planned))
    bets = _all_bets()
    bets = bets[bets >= min(_SMALLEST * best_if_alike, 0.5)]
    weights = np.full(len(bets), (1 - _ALL_IN) / (len(bets) - 1))
    weights[0] = _ALL_IN
    return bets, np.log(weights)


def _interval_of(rate: float) -> float:
    """The lower end of the interval of `_ENDS` that a rate is in."""
    return max((end for end in (0.0, *_ENDS) if end < rate), default=0.0)


def _log_fortunes(worlds: Worlds, rate: float, bets: NDArray[Any]) -> NDArray[Any]:

    fortunes: NDArray[Any] = _log_growths(worlds.events / rate - worlds.trials, bets) @ worlds.times
    return fortunes


def _log_growths(gains: NDArray[Any], bets: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    with np.errstate(divide="ignore"):  # whoever stakes all may lose all
        growths: NDArray[Any] = np.log1p(np.maximum(np.outer(bets, gains), -1.0))
    return growths


def _log_mixture(log_fortunes: NDArray[Any], log_weights: NDArray[Any]) -> float:
    import numpy as np

    return float(np.logaddexp.reduce(log_fortunes + log_weights))
