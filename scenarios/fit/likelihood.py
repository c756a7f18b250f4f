"""Log-normal times that are known only to lie in intervals: maximum likelihood, and how sure it is.

An observation is an interval `(low, high]` that holds a time: from 0 for one that was over at the first look, without end
for one that was not over at the last. Where the ends themselves are spread (by the latency of requests), an observation has
many equally likely pairs of ends, and its probability is their mean.

Two models: the log-normal, and the same for a share 1 - q of the times while the share q never ends ("stuck"). Where the
data are too few for two numbers, a third has one: a distribution whose shape is known, by how many times as long it is.
Intervals of parameters are those of the profile likelihood: all values that a likelihood-ratio test at 5 % would not
reject, with the other parameters at their best. A parameter is *identified* if that interval lies inside the box that is
searched; if it does not, the data cannot say what the parameter is, and nothing is made up.

The non-parametric estimate is Turnbull's (J. R. Stat. Soc. B 38, 1976), by self-consistency.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE: Final = 0.95
CRITICAL: Final = 3.841458820694124
"""The chi-squared quantile with one degree of freedom at `CONFIDENCE`."""
MEDIAN_SECONDS: Final = (1e-3, 1e4)
SIGMA: Final = (0.03, 8.0)
"""What is searched; an interval that reaches an end of it has none."""
AIC_GAIN: Final = 2.0
"""By how much the Akaike criterion must fall before a share of stuck runs is believed in."""

_TINY = 1e-300
_STUCK_LOGIT = (-12.0, 6.0)


@dataclass(frozen=True, slots=True)
class Observation:
    """`count` times, each in `(lows[i], highs[i]]` for one i, all equally likely; an end may be 0 or infinite.

    With `afters`, only times above `afters[i]` could be observed at all where that is above 0. The pairs with such an
    end are those of their share of what was observed, each weighted by how likely it was to be.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    count: int
    afters: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter's best value and its interval; an end that the data do not give is None."""

    value: float
    low: float | None
    high: float | None

    @property
    def identified(self) -> bool:
        """Whether the interval has both ends."""
        return self.low is not None and self.high is not None


@dataclass(frozen=True, slots=True)
class LogNormalFit:
    """The chosen model. `stuck` is None for the plain log-normal; `aic` has the criterion of each model."""

    median: Parameter
    sigma: Parameter
    stuck: Parameter | None
    aic: dict[str, float]

    @property
    def identified(self) -> bool:
        """Whether every parameter is."""
        return all(each.identified for each in (self.median, self.sigma, self.stuck) if each is not None)


class _Likelihood:
    """The log-likelihood of all observations, as fast as numpy does it."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        import numpy as np

        # Observations with as many pairs of ends stand in one matrix.
        self._parts: list[tuple[Array, Array, Array, Array | None]] = []
        forms = sorted({(len(each.lows), bool(each.afters)) for each in observations})
        with np.errstate(divide="ignore"):
            for form in forms:
                alike = [each for each in observations if (len(each.lows), bool(each.afters)) == form]
                afters = np.log(np.array([each.afters for each in alike])) if form[1] else None
                lows = np.log(np.array([each.lows for each in alike]))
                highs = np.log(np.array([each.highs for each in alike]))
                counts = np.array([float(each.count) for each in alike])
                self._parts.append((lows, highs, counts, afters))

    def __call__(self, cdf: Callable[[Array], Array]) -> float:
        """Under a distribution: `cdf` has the probability of at most so many seconds, by their logarithms."""
        import numpy as np

        total = 0.0
        for lows, highs, counts, afters in self._parts:
            inside = np.where(np.isinf(highs), 1.0, cdf(highs)) - cdf(lows)
            if afters is None:
                means = inside.mean(axis=1)
            else:
                # A slow request before the first look also makes it likelier that there is nothing left to be seen: of
                # all such times together, the ratio of the sums is what is seen, not the mean of the ratios.
                selected = np.isfinite(afters)
                number = selected.sum(axis=1)
                seen = ((1 - cdf(afters)) * selected).sum(axis=1)
                ratio = (inside * selected).sum(axis=1) / np.maximum(seen, _TINY)
                means = ((inside * ~selected).sum(axis=1) + number * ratio) / afters.shape[1]
            total += float(np.dot(counts, np.log(np.maximum(means, _TINY))))
        return total

    def lognormal(self, mu: float, sigma: float, stuck: float = 0.0) -> float:
        """Under a log-normal, of which a share never ends."""
        from scipy.special import ndtr

        return self(lambda logs: ndtr((logs - mu) / sigma) * (1 - stuck))


def fit_lognormal(observations: Sequence[Observation], *, may_stick: bool = True) -> LogNormalFit | None:
    """The model that fits best, with intervals; None if there is nothing to fit.

    `may_stick` also tries a share that never ends; it is chosen if the Akaike criterion falls by `AIC_GAIN` at least and
    the share's own interval has both ends.
    """
    if not observations:
        return None
    likelihood = _Likelihood(observations)
    mu_box = (math.log(MEDIAN_SECONDS[0]), math.log(MEDIAN_SECONDS[1]))
    sigma_box = (math.log(SIGMA[0]), math.log(SIGMA[1]))

    def plain(point: Sequence[float]) -> float:
        return likelihood.lognormal(point[0], math.exp(point[1]))

    def sticking(point: Sequence[float]) -> float:
        return likelihood.lognormal(point[0], math.exp(point[1]), 1 / (1 + math.exp(-point[2])))

    best, height = _highest(plain, (mu_box, sigma_box))
    aic = {"lognormal": 2 * 2 - 2 * height}
    ends = _profile(plain, (mu_box, sigma_box), best, height)
    fitted = LogNormalFit(
        Parameter(math.exp(best[0]), *_exponentials(ends[0])),
        Parameter(math.exp(best[1]), *_exponentials(ends[1])),
        None,
        aic,
    )
    if not may_stick:
        return fitted
    boxes = (mu_box, sigma_box, _STUCK_LOGIT)
    best, height = _highest(sticking, boxes)
    aic["lognormal and stuck"] = 2 * 3 - 2 * height
    if aic["lognormal and stuck"] > aic["lognormal"] - AIC_GAIN:
        return fitted
    ends = _profile(sticking, boxes, best, height)
    low, high = (None if end is None else 1 / (1 + math.exp(-end)) for end in ends[2])
    stuck = Parameter(1 / (1 + math.exp(-best[2])), low, high)
    if not stuck.identified:
        return fitted
    return LogNormalFit(
        Parameter(math.exp(best[0]), *_exponentials(ends[0])),
        Parameter(math.exp(best[1]), *_exponentials(ends[1])),
        stuck,
        aic,
    )


SCALE: Final = (1e-4, 1e4)
_SCALE_POINTS = 161


def fit_scale(observations: Sequence[Observation], cdf: Callable[[Array], Array]) -> Parameter:
    """By how many times as long the times of a known distribution would have to be, inside `SCALE`.

    Where all of a range fit equally well (every time was over at the first look, say), the value is its middle.
    """
    import numpy as np

    likelihood = _Likelihood(observations)

    def height(point: Sequence[float]) -> float:
        return likelihood(lambda logs: cdf(np.exp(logs - point[0])))

    box = (math.log(SCALE[0]), math.log(SCALE[1]))
    grid = [min(box[0] + (box[1] - box[0]) * at / (_SCALE_POINTS - 1), box[1]) for at in range(_SCALE_POINTS)]
    heights = [height([each]) for each in grid]
    level = [at for at, each in enumerate(heights) if each >= max(heights) - 1e-7]
    best, highest = [grid[level[len(level) // 2]]], max(heights)
    if len(level) == 1:
        best, highest = _uphill(height, (box,), best)
    low, high = _exponentials(_profile(height, (box,), best, highest)[0])
    return Parameter(math.exp(best[0]), low, high)


def log_likelihood(observations: Sequence[Observation], cdf: Callable[[Array], Array]) -> float:
    """The natural logarithm of how likely the observations are under any distribution, by its `cdf` of seconds."""
    import numpy as np

    return _Likelihood(observations)(lambda logs: cdf(np.exp(logs)))


_Box = tuple[float, float]
_Ends = tuple[float | None, float | None]


def _exponentials(ends: _Ends) -> _Ends:
    low, high = ends
    return (None if low is None else math.exp(low)), (None if high is None else math.exp(high))


def _highest(function: Callable[[Sequence[float]], float], boxes: Sequence[_Box]) -> tuple[list[float], float]:
    """The highest point inside the boxes: from the best of a grid, uphill."""
    grid = [[low + (high - low) * part / 9 for part in range(1, 9)] for low, high in boxes]
    points: list[list[float]] = [[]]
    for values in grid:
        points = [[*point, value] for point in points for value in values]
    start = max(points, key=function)
    return _uphill(function, boxes, start)


def _uphill(
    function: Callable[[Sequence[float]], float], boxes: Sequence[_Box], start: Sequence[float]
) -> tuple[list[float], float]:
    from scipy.optimize import minimize

    if not boxes:
        return [], function([])
    found = minimize(
        lambda point: -function(point),
        list(start),
        method="Nelder-Mead",
        bounds=list(boxes),
        options={"xatol": 1e-6, "fatol": 1e-7, "maxiter": 4000, "initial_simplex": _simplex(start, boxes)},
    )
    return [float(each) for each in found.x], -float(found.fun)


def _simplex(start: Sequence[float], boxes: Sequence[_Box]) -> list[list[float]]:
    corners = [list(start)]
    for index, (low, high) in enumerate(boxes):
        step = (high - low) / 40
        moved = list(start)
        moved[index] += step if start[index] + step <= high else -step
        corners.append(moved)
    return corners


def _profile(
    function: Callable[[Sequence[float]], float], boxes: Sequence[_Box], best: Sequence[float], height: float
) -> list[_Ends]:
    """Both ends of each parameter's interval; None where the box ends first."""
    return [
        tuple(_end(function, boxes, best, height, index, towards) for towards in (0, 1))  # type: ignore[misc]
        for index in range(len(boxes))
    ]


def _end(
    function: Callable[[Sequence[float]], float],
    boxes: Sequence[_Box],
    best: Sequence[float],
    height: float,
    index: int,
    towards: int,
) -> float | None:
    from scipy.optimize import brentq

    others = [box for at, box in enumerate(boxes) if at != index]
    near = [value for at, value in enumerate(best) if at != index]
    known = {best[index]: -CRITICAL}

    def excess(value: float) -> float:
        """How far the best point with this value lies below the highest one, beyond what is allowed."""
        nonlocal near
        if value in known:  # asked again, the climb would begin elsewhere and end a hair higher or lower
            return known[value]

        def rest(point: Sequence[float]) -> float:
            return function([*point[:index], value, *point[index:]])

        near, reached = _uphill(rest, others, near)
        known[value] = 2 * (height - reached) - CRITICAL
        return known[value]

    edge = boxes[index][towards]
    inside, step = best[index], (edge - best[index]) / 256
    if not step:
        return None
    while True:
        outside = inside + step
        if (edge - outside) * (edge - best[index]) <= 0:
            outside = edge
        if excess(outside) > 0:
            break
        if outside == edge:
            return None
        inside, step = outside, step * 2
    return float(brentq(excess, inside, outside, xtol=1e-5))


# Turnbull's estimate

TURNBULL_ENDS_MAX: Final = 300
_ROUNDS = 2_000


def turnbull(observations: Sequence[Observation]) -> list[tuple[float, float]]:
    """The non-parametric estimate: `(seconds, share)` where the share of times that are over rises to that by then.

    Between two such moments the data do not say how it rises. Spread ends are taken at their medians.
    """
    import numpy as np

    middles = [(_middle(each.lows), _middle(each.highs), each.count) for each in observations]
    step = 0.01
    while True:
        counts: dict[tuple[float, float], int] = {}
        for low, high, count in middles:
            key = (round(low / step) * step, math.inf if math.isinf(high) else max(round(high / step), 1) * step)
            counts[key] = counts.get(key, 0) + count
        ends = sorted({end for pair in counts for end in pair})
        if len(ends) <= TURNBULL_ENDS_MAX:
            break
        step *= 2
    if not counts:
        return []
    pairs = sorted(counts)
    cells = list(pairwise(ends))
    holds = np.array([[low <= cell[0] and cell[1] <= high for cell in cells] for low, high in pairs], dtype=float)
    weights = np.array([float(counts[pair]) for pair in pairs])
    usable = holds.sum(axis=1) > 0
    holds, weights = holds[usable], weights[usable]
    share = np.full(len(cells), 1 / max(len(cells), 1))
    for _ in range(_ROUNDS):
        inside = holds * share
        sums = inside.sum(axis=1, keepdims=True)
        following = (weights[:, None] * inside / np.maximum(sums, _TINY)).sum(axis=0) / weights.sum()
        moved = float(np.abs(following - share).max())
        share = following
        if moved < 1e-9:
            break
    points: list[tuple[float, float]] = []
    total = 0.0
    for (_, end), part in zip(cells, share, strict=True):
        total += float(part)
        if part > 1e-9 and math.isfinite(end):
            points.append((float(end), min(total, 1.0)))
    return points


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
