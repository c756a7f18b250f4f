"""The tape: what was decided in one world, and worlds in which only that is decided and nothing else.

A recorded world leaves two kinds of choice: decisions that let something strike, and durations. Played back, a world has
the choices of its tape; whatever else could strike does not, and whatever else takes time takes the median. So a choice
that does not matter can be left out, which is how a failure is shrunk to what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from relaysim.sim.kernel.draws import Draws


class DrawKey(NamedTuple):
    """Which draw of a world: whose, what for, and which one of these, counting from 0."""

    entity: str
    purpose: str
    number: int


class Recording:
    """What was decided in one world.

    Attributes:
        strikes: the draws that let something strike, with their numbers, in the order in which they were asked for.
        seconds: the durations, each with its median.
        times: when each decision was made, by whose it is and what it is for, in virtual seconds.
        clock: tells the present instant.
    """

    __slots__ = ("clock", "seconds", "strikes", "times")

    def __init__(self) -> None:
        self.clock: Callable[[], float] = lambda: 0.0
        self.times: dict[tuple[str, str], dict[int, float]] = {}
        self.strikes: dict[DrawKey, float] = {}
        self.seconds: dict[DrawKey, tuple[float, float]] = {}


class _Decision(float):
    """A uniform that lets something strike where it lies below a probability, and notes when it does."""

    __slots__ = ("_key", "_strikes")
    _key: DrawKey
    _strikes: dict[DrawKey, float]

    def __lt__(self, probability: float) -> bool:
        strikes = float.__lt__(self, probability)
        if strikes:
            self._strikes[self._key] = float(self)
        return strikes

    def __ge__(self, probability: float) -> bool:
        return not self < probability


class RecordingDraws(Draws):
    """The draws of another object, recorded."""

    __slots__ = ("_inner", "_recording")

    def __init__(self, inner: Draws, recording: Recording) -> None:
        self._base, self._counters = inner._base, inner._counters
        self._inner = inner
        self._recording = recording

    def uniform(self, entity: str, purpose: str, index: int | None = None) -> float:
        return self._inner.uniform(entity, purpose, index)

    def rare(self, entity: str, purpose: str, index: int | None = None) -> float:
        if index is None:
            index = self.next_index(entity, purpose)
        decision = _Decision(self._inner.rare(entity, purpose, index))
        recording = self._recording
        recording.times.setdefault((entity, purpose), {})[index] = recording.clock()
        decision._key, decision._strikes = DrawKey(entity, purpose, index), recording.strikes
        return decision

    def seconds(self, sampler: Callable[[float], float], entity: str, purpose: str, index: int | None = None) -> float:
        if index is None:
            index = self.next_index(entity, purpose)
        seconds = self._inner.seconds(sampler, entity, purpose, index)
        self._recording.seconds[DrawKey(entity, purpose, index)] = seconds, sampler(0.5)
        return seconds


ALL_OF: Final = "/*"
"""After the first part of an entity's name: each entity whose name begins with that part."""

_NOTHING_STRIKES: Final = 1.0
"""Not below any probability, a certain one included."""


class TapedDraws(Draws):
    """Draws of one replication, of which strikes and durations are those of a tape and of no other.

    Args:
        root, replication: key all other draws.
        strikes: the numbers that let something strike.
        seconds: durations that are not the median of their distribution. One of an entity that ends with `ALL_OF`, as `w1/*`
            does, is of each entity that begins like it, and has no duration of its own here.
    """

    __slots__ = ("_of_all", "_seconds", "_strikes")

    def __init__(
        self, root: int, replication: int, strikes: Mapping[DrawKey, float], seconds: Mapping[DrawKey, float]
    ) -> None:
        super().__init__(root, replication)
        self._strikes, self._seconds = strikes, seconds
        of_all = (key for key in seconds if key.entity.endswith(ALL_OF))
        self._of_all = {(key.entity.removesuffix(ALL_OF), key.purpose): seconds[key] for key in of_all}

    def rare(self, entity: str, purpose: str, index: int | None = None) -> float:
        if index is None:
            index = self.next_index(entity, purpose)
        return self._strikes.get(DrawKey(entity, purpose, index), _NOTHING_STRIKES)

    def seconds(self, sampler: Callable[[float], float], entity: str, purpose: str, index: int | None = None) -> float:
        if index is None:
            index = self.next_index(entity, purpose)
        taped = self._seconds.get(DrawKey(entity, purpose, index))
        if taped is None and self._of_all:
            taped = self._of_all.get((entity.partition("/")[0], purpose))
        return sampler(0.5) if taped is None else taped
