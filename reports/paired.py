"""Policies in the same worlds: estimates with intervals, and differences between paired replications.

Replication i of every policy is the same world: the same customers, latencies and faults, drawn with the same numbers.
So worlds, not messages, are what is independent here, and every interval is taken over worlds:

- A share (of the messages, those that got no reply) has bounds by betting, and so has the difference of two policies'
  shares in the same worlds: see `relaysim.reports.betting`. They hold however failures cluster, and however rare they are.
- A total per message that has no largest value (requests, seconds) has no such bounds, because one unseen world could move
  it by anything. It is a ratio of two sums over the worlds. Its error, and that of the
  difference of two policies' ratios, is the delete-one jackknife's (Efron and Stein, Annals of Statistics 9, 1981):
  leave each world out in turn, for both policies at once, and see how far the result moves; times the t quantile with
  one degree of freedom less than there are worlds.
- A percentile is bootstrapped: the worlds are drawn again with replacement, the messages of those drawn are pooled,
  and the interval leaves half of alpha of all such percentiles out at either end. All policies are drawn the same
  worlds, so that differences stay paired.

Which worlds a resample draws is a function of the key and of its number (SHAKE-256), so that no library's version can
change a result. numpy and scipy are imported inside the functions that need them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import shake_256
from typing import TYPE_CHECKING, Any

from relaysim.reports import betting
from relaysim.reports.claims import LARGER_UNSEEN
from relaysim.reports.statistics import rounded, upper_bound

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

#: Resamples of a bootstrap: at 99 %, ten of them lie beyond either end of an interval.
RESAMPLES = 2000
#: Of fewer worlds a jackknife knows no error.
WORLDS_MIN = 2
#: A bootstrap never looks beyond the worlds it was given, and so few all lie on the same side of the truth by chance
#: once in 2**(n - 1) times: for 99 %, n must be 8.
BOOTSTRAP_WORLDS_MIN = 8

#: How many times as many worlds anybody is told to run.
MORE_WORLDS_MAX = 1024

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval; None where there are too few worlds, or where leaving one out never moves the value."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Of each world, in the order of their seeds: how often something happened, and among how many."""

    events: Sequence[int]
    among: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.events) != len(self.among):
            raise ValueError(f"{len(self.events)} worlds with events, but {len(self.among)} with trials")

    def without_each(self) -> Iterator[float | None]:
        """The ratio of all other worlds, for each world; None where they have no trials."""
        events, among = sum(self.events), sum(self.among)
        for some, few in zip(self.events, self.among, strict=True):
            yield (events - some) / (among - few) if among > few else None

    @property
    def ratio(self) -> float | None:
        """Events per trial over all worlds, None without trials."""
        among = sum(self.among)
        return sum(self.events) / among if among else None


def ratio(totals: Totals, alpha: float) -> Estimate | None:
    """Events per trial with its interval at confidence `1 - alpha`, never below 0; None without trials."""
    value = totals.ratio
    if value is None:
        return None
    interval = _jackknife(value, list(totals.without_each()), alpha)
    return Estimate(rounded(value), interval and (max(0.0, interval[0]), interval[1]))


def ratio_difference(first: Totals, second: Totals, alpha: float) -> Estimate | None:
    """The first ratio minus the second, world by world paired, with its interval; None if either has no trials.

    Raises ValueError if they are not of the same number of worlds.
    """
    if len(first.events) != len(second.events):
        raise ValueError(f"{len(first.events)} worlds cannot be paired with {len(second.events)}")
    one, other = first.ratio, second.ratio
    if one is None or other is None:
        return None
    without = [
        None if left is None or right is None else left - right
        for left, right in zip(first.without_each(), second.without_each(), strict=True)
    ]
    return Estimate(rounded(one - other), _jackknife(one - other, without, alpha))


def share_difference(first: Totals, second: Totals, alpha: float, *, trials_max: int | None = None) -> Estimate | None:
    """The first share minus the second, world by world paired, with its interval; None if either has no trials.

    The interval is wrong with probability `alpha` at most, for any distribution over worlds, and there is none if the two
    are the same in every world (see `share_differing_at_most`).

    Args:
        first, second: of the same worlds; events are some of the trials.
        alpha: above 0 and below 1.
        trials_max: the most trials that a world can have; None if unknown, see `relaysim.reports.claims.LARGER_UNSEEN`.

    Raises ValueError if they are not of the same number of worlds, or for more events than trials.
    """
    if len(first.events) != len(second.events):
        raise ValueError(f"{len(first.events)} worlds cannot be paired with {len(second.events)}")
    one, other = first.ratio, second.ratio
    if one is None or other is None:
        return None
    pairs = Counter(zip(first.events, first.among, second.events, second.among, strict=True))
    if all(kind[:2] == kind[2:] for kind in pairs):
        return Estimate(rounded(one - other), None)
    largest = max(*first.among, *second.among)
    most = LARGER_UNSEEN * largest if trials_max is None else max(trials_max, largest)
    low, high = betting.difference_bounds(betting.Pairs.counted(pairs, most), alpha, planned=len(first.events))
    return Estimate(rounded(one - other), (rounded(low), rounded(high)))


def worlds_to_tell_apart(first: Totals, second: Totals, alpha: float, *, trials_max: int | None = None) -> int | None:
    """In how many worlds, to two digits, the interval of `share_difference` would no longer have 0 in it, should they all be
    like those that were seen; None: not within `MORE_WORLDS_MAX` times as many. That is a guess about worlds that nobody has
    run, and no bound.

    Args: as of `share_difference`.
    """
    worlds = len(first.events)

    def apart(times: int) -> bool:
        found = share_difference(_repeated(first, times), _repeated(second, times), alpha, trials_max=trials_max)
        return found is not None and found.interval is not None and (found.interval[0] > 0 or found.interval[1] < 0)

    if first.ratio == second.ratio:
        return None
    times = 1
    while not apart(times):
        times *= 2
        if times > MORE_WORLDS_MAX:
            return None
    low = times // 2
    while times - low > max(1, times // 16):
        middle = (low + times) // 2
        low, times = (low, middle) if apart(middle) else (middle, times)
    unit = int(10 ** max(0, len(str(worlds * times)) - 2))
    return -(-worlds * times // unit) * unit


def _repeated(totals: Totals, times: int) -> Totals:
    return Totals(list(totals.events) * times, list(totals.among) * times)


def _jackknife(value: float, without: Sequence[float | None], alpha: float) -> Interval | None:
    worlds = len(without)
    known = [each for each in without if each is not None]
    if worlds < WORLDS_MIN or len(known) < worlds:
        return None
    middle = math.fsum(known) / worlds
    variance = (worlds - 1) / worlds * math.fsum((each - middle) ** 2 for each in known)
    half = _t_quantile(worlds - 1, 1 - alpha / 2) * math.sqrt(variance)
    if rounded(half) == 0:
        return None
    return rounded(value - half), rounded(value + half)


def _t_quantile(freedom: int, probability: float) -> float:
    from scipy import special

    return float(special.stdtrit(freedom, probability))


def worlds_differing(first: Totals, second: Totals) -> int:
    """In how many worlds the two ratios are not the same. Exact: nothing is divided."""
    pairs = zip(first.events, first.among, second.events, second.among, strict=True)
    return sum(events * others != other_events * among for events, among, other_events, others in pairs)


def share_differing_at_most(worlds: int, alpha: float) -> float:
    """If none of so many worlds differs: the share of worlds that may, at confidence `1 - alpha`."""
    return rounded(upper_bound(0, worlds, alpha))


# Percentiles


@dataclass(frozen=True, slots=True)
class Waits:
    """Of each world, in the order of their seeds: the seconds until each reply, and how many messages got none."""

    seconds: Sequence[Sequence[float]]
    never: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.seconds) != len(self.never):
            raise ValueError(f"{len(self.seconds)} worlds with replies, but {len(self.never)} with missing ones")


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of the waits of one policy: over all worlds, and in each resample.

    The keys of `values` and `resampled` are `(percent, view)`; the view `"replied"` is of the messages with a reply,
    `"or_never"` of all, those without one as infinite waits. A value is None where there is no message to speak of.
    """

    values: Mapping[tuple[int, str], float | None]
    resampled: Mapping[tuple[int, str], Sequence[float]]

    def estimate(self, percent: int, view: str, alpha: float) -> Estimate | None:
        """The percentile and its interval, either of which may be infinite; None without messages."""
        value = self.values[percent, view]
        return None if value is None else Estimate(_plain(value), _middle(self.resampled[percent, view], alpha))

    def difference(self, other: Percentiles, percent: int, view: str, alpha: float) -> Estimate | None:
        """This percentile minus the other's, paired resample by resample; None if either has no messages.

        Infinite where one of them never comes; two that never come do not differ.
        """
        own_value, other_value = self.values[percent, view], other.values[percent, view]
        if own_value is None or other_value is None:
            return None
        pairs = zip(self.resampled[percent, view], other.resampled[percent, view], strict=True)
        return Estimate(_apart(own_value, other_value), _middle([_apart(one, two) for one, two in pairs], alpha))


def _plain(value: float) -> float:
    return rounded(value) if math.isfinite(value) else value


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else _plain(one - other)


def _middle(values: Sequence[float], alpha: float) -> Interval | None:
    if not values:
        return None
    ordered = sorted(values)
    beyond = int(alpha / 2 * len(ordered))
    return _plain(ordered[beyond]), _plain(ordered[-1 - beyond])


VIEWS = ("replied", "or_never")


def percentiles(
    policies: Mapping[str, Waits], percents: Sequence[int], *, key: str, resamples: int = RESAMPLES
) -> dict[str, Percentiles]:
    """The percentiles of every policy, all resampled with the same worlds.

    A percentile is the smallest wait that at least so many percent of the messages do not exceed. Policies must have
    the same number of worlds, else ValueError is raised; with fewer than `BOOTSTRAP_WORLDS_MIN` nothing is resampled.

    Args:
        policies: the waits of each policy, by its name.
        percents: whole numbers, 1 to 100.
        key: what the draws are keyed by, e.g. the scenario's hash.
        resamples: how many there are.
    """
    import numpy as np

    counts = {len(waits.never) for waits in policies.values()}
    if len(counts) > 1:
        raise ValueError(f"policies with different numbers of worlds cannot be paired: {sorted(counts)}")
    (worlds,) = counts or {0}
    pooled = {name: _Pooled(waits) for name, waits in policies.items()}
    wanted = [(percent, view) for percent in percents for view in VIEWS]
    once = np.ones(worlds, dtype=np.int64)
    values = {name: each.at(wanted, once) for name, each in pooled.items()}
    resampled: dict[str, dict[tuple[int, str], list[float]]] = {
        name: {each: [] for each in wanted} for name in policies
    }
    for number in range(resamples if worlds >= BOOTSTRAP_WORLDS_MIN else 0):
        drawn = np.bincount(drawn_worlds(key, number, worlds), minlength=worlds)
        for name, each in pooled.items():
            for what, value in each.at(wanted, drawn).items():
                # Worlds without a single message, or a single reply, wait for one for ever.
                resampled[name][what].append(math.inf if value is None else value)
    return {name: Percentiles(values[name], resampled[name]) for name in policies}


def drawn_worlds(key: str, number: int, worlds: int) -> NDArray[numpy.int64]:
    """The worlds that a resample draws, with replacement, as many as there are."""
    import numpy as np

    octets = shake_256(f"{key}\0resample\0{number}".encode()).digest(8 * worlds)
    # 64 bits for each, so that the remainder favours no world by more than one in 10**13.
    return (np.frombuffer(octets, dtype="<u8") % np.uint64(worlds)).astype(np.int64)


class _Pooled:
    """The waits of all worlds in ascending order, each with its world."""

    def __init__(self, waits: Waits) -> None:
        import numpy as np

        seconds = np.array([value for world in waits.seconds for value in world], dtype=np.float64)
        world = np.repeat(np.arange(len(waits.seconds)), [len(each) for each in waits.seconds])
        order = np.argsort(seconds, kind="stable")
        self._seconds: NDArray[Any] = seconds[order]
        self._world: NDArray[Any] = world[order]
        self._never: NDArray[Any] = np.array(waits.never, dtype=np.int64)

    def at(self, wanted: Sequence[tuple[int, str]], times: NDArray[numpy.int64]) -> dict[tuple[int, str], float | None]:
        """Percentiles, with each world counted so many times."""
        import numpy as np

        up_to = np.cumsum(times[self._world])
        replied = int(up_to[-1]) if len(up_to) else 0
        messages = {"replied": replied, "or_never": replied + int(times @ self._never)}
        found: dict[tuple[int, str], float | None] = {}
        for percent, view in wanted:
            n = messages[view]
            rank = -(-percent * n // 100)  # whole numbers: 95 % of 20 is 19, not a hair more
            if not n:
                found[percent, view] = None
            elif rank > replied:
                found[percent, view] = math.inf
            else:
                found[percent, view] = float(self._seconds[np.searchsorted(up_to, rank)])
        return found
