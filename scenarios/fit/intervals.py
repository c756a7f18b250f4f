"""Times that are known to lie between two moments, and amounts that were seen, both in bounded memory.

A log of a year has millions of conflicts, and few different answers: an interval is rounded to a hundredth of a second
and counted. Should that leave too many different ones, all are rounded more coarsely, and `resolution` says how much.
"""

from __future__ import annotations

import math
from typing import Final

INTERVALS_MAX: Final = 4_000
AMOUNTS_MAX: Final = 4_000
RESOLUTION: Final = 0.01


class Intervals:
    """Intervals `(low, high]` of seconds with how often each was seen; `high` may be infinite."""

    def __init__(self, resolution: float = RESOLUTION) -> None:
        self.resolution = resolution
        self.total = 0
        self._counts: dict[tuple[int, int | None], int] = {}

    def add(self, low: float, high: float) -> None:
        """One time above `low` (0 or more) and at most `high`, which is made greater than `low` if it is not."""
        key = self._key(max(low, 0.0), high)
        self._counts[key] = self._counts.get(key, 0) + 1
        self.total += 1
        while len(self._counts) > INTERVALS_MAX:
            self._coarsen()

    def _key(self, low: float, high: float) -> tuple[int, int | None]:
        below = round(low / self.resolution)
        if math.isinf(high):
            return below, None
        return below, max(round(high / self.resolution), below + 1)

    def _coarsen(self) -> None:
        before, self.resolution = self.resolution, self.resolution * 2
        counts, self._counts = self._counts, {}
        for (low, high), count in counts.items():
            key = self._key(low * before, math.inf if high is None else high * before)
            self._counts[key] = self._counts.get(key, 0) + count

    def weights(self) -> list[tuple[float, float, int]]:
        """`(low, high, count)`, in order."""
        order = sorted(self._counts, key=lambda key: (key[0], math.inf if key[1] is None else key[1]))
        return [
            (
                low * self.resolution,
                math.inf if high is None else high * self.resolution,
                self._counts[low, high],
            )
            for low, high in order
        ]


class Amounts:
    """Numbers of seconds with how often each was seen, to the millisecond until there are too many different ones."""

    def __init__(self) -> None:
        self._step = 1
        self.total = 0
        self.low = math.inf
        self.high = -math.inf
        self._counts: dict[int, int] = {}

    def add(self, seconds: float, count: int = 1) -> None:
        """So many more of this amount."""
        self.total += count
        self.low, self.high = min(self.low, seconds), max(self.high, seconds)
        key = round(seconds * 1000 / self._step)
        self._counts[key] = self._counts.get(key, 0) + count
        while len(self._counts) > AMOUNTS_MAX:
            counts, self._counts = self._counts, {}
            self._step *= 2
            for each, number in counts.items():
                half = round(each / 2)
                self._counts[half] = self._counts.get(half, 0) + number

    def weights(self) -> list[tuple[float, int]]:
        """`(seconds, count)`, in order."""
        return [(key * self._step / 1000, self._counts[key]) for key in sorted(self._counts)]

    @property
    def one(self) -> float | None:
        """The amount, if it was always the same."""
        return self.low if self.total and self.low == self.high else None

    def middle(self) -> float | None:
        """The median; None of nothing."""
        passed = 0
        for seconds, count in self.weights():
            passed += count
            if 2 * passed >= self.total:
                return seconds
        return None
