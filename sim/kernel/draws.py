"""Keyed draws: each random number is a function of what it is for, never of when it was asked for.

A number is `blake2b(root, replication, entity, purpose, index)`. Two relays run in the same world meet the same
latencies (common random numbers), two lanes draw the same numbers however differently their code asks for them, and
no library version can change the stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

_PAIRS = [low + high for high in _ALPHABET for low in _ALPHABET]

_POWERS = [3844**count for count in range(44)]


class Draws:
    """Keyed uniforms of one replication.

    Args:
        root: the scenario's root seed.
        replication: the replication's own seed.
    """

    __slots__ = ("_base", "_counters")

    def __init__(self, root: int, replication: int) -> None:
        self._base = blake2b(b"%d\0%d\0" % (root, replication), digest_size=8)
        self._counters: dict[tuple[str, str], int] = {}

    def next_index(self, entity: str, purpose: str) -> int:
        """How often this pair was asked for before, counting from 0; each call counts."""
        key = (entity, purpose)
        index = self._counters.get(key, 0)
        self._counters[key] = index + 1
        return index

    def octets(self, entity: str, purpose: str, index: int | None = None) -> bytes:
        """8 bytes for this entity, purpose and index; without an index, the next one of the pair."""
        if index is None:
            index = self.next_index(entity, purpose)
        digest = self._base.copy()
        digest.update(f"{entity}\0{purpose}\0{index}".encode())
        return digest.digest()

    def uniform(self, entity: str, purpose: str, index: int | None = None) -> float:
        """A number in the open interval (0, 1), a multiple of 2**-53."""
        if index is None:
            index = self.next_index(entity, purpose)
        # What `octets` does, without the call: nearly all draws are uniforms.
        digest = self._base.copy()
        digest.update(f"{entity}\0{purpose}\0{index}".encode())
        return ((int.from_bytes(digest.digest(), "big") >> 12) + 0.5) * 2.0**-52

    def rare(self, entity: str, purpose: str, index: int | None = None) -> float:
        """A uniform that decides whether something out of the ordinary happens: it does where the number is small."""
        return self.uniform(entity, purpose, index)

    def seconds(self, sampler: Callable[[float], float], entity: str, purpose: str, index: int | None = None) -> float:
        """A duration: what `sampler` makes of a uniform. Whoever explores schedules lets it be another one."""
        return sampler(self.uniform(entity, purpose, index))

    def token(self, entity: str, purpose: str, length: int, index: int | None = None) -> str:
        """A string of `length` letters and digits (at most 85, which is what one digest of 512 bits gives)."""
        if not 0 < length <= 85:
            raise ValueError(f"length must be between 1 and 85, not {length}")
        if index is None:
            index = self.next_index(entity, purpose)
        seed = self._base.copy()
        seed.update(f"{entity}\0{purpose}\0{index}".encode())
        number = int.from_bytes(blake2b(seed.digest(), digest_size=64).digest(), "big")
        # In base 62, lowest digit first. Two digits at a time: half as many divisions of a long number, and of its end only.
        count = (length + 1) // 2
        number %= _POWERS[count]
        pairs = []
        for _ in range(count):
            number, position = divmod(number, 3844)
            pairs.append(_PAIRS[position])
        return "".join(pairs)[:length]


class ConditionedDraws(Draws):
    """Draws of which one uniform comes from a part of (0, 1) only; all others are what they are without that.

    Attributes:
        hits: how often the conditioned uniform was asked for.
    """

    __slots__ = ("_high", "_key", "_low", "_width", "hits")

    def __init__(self, root: int, replication: int) -> None:
        super().__init__(root, replication)
        self._key: tuple[str, str, int] | None = None
        self.hits = 0

    def condition(self, entity: str, purpose: str, index: int, low: float, high: float) -> None:
        """Let this uniform lie strictly between `low` and `high`, at the same place in there as it had in (0, 1).

        Raises ValueError unless 0 <= low < high <= 1.
        """
        if not 0 <= low < high <= 1:
            raise ValueError(f"a part of the range from 0 to 1 is needed, not {low!r} to {high!r}")
        self._key = (entity, purpose, index)
        self._width = high - low
        # The ends themselves would belong to the neighbouring parts.
        self._low, self._high = math.nextafter(low, 1.0), math.nextafter(high, 0.0)

    def uniform(self, entity: str, purpose: str, index: int | None = None) -> float:
        if index is None:
            index = self.next_index(entity, purpose)
        drawn = super().uniform(entity, purpose, index)
        if (entity, purpose, index) != self._key:
            return drawn
        self.hits += 1
        return min(max(self._low + drawn * self._width, self._low), self._high)
