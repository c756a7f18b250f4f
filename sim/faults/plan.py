"""The faults of one list in one world: which of them strike an occasion, and how often each has fired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from fnmatch import fnmatchcase
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from relaysim.sim.faults.when import AtOccasions, AtTimes, When

Draw = Callable[[int, int], float]
"""A keyed uniform in (0, 1), given a fault's position in its list and the number of the occasion or of the time."""


class Fault(Protocol):
    """What a plan needs to know of a fault."""

    @property
    def when(self) -> When:
        """When it strikes. Does not change."""
        ...


F = TypeVar("F", bound=Fault)


class TimedStrike(NamedTuple):
    """One time at which a fault will strike.

    Attributes:
        position: of the fault in its list.
        number: which of the fault's times it is, counting from 0.
        at_seconds: virtual seconds from the world's start.
    """

    position: int
    number: int
    at_seconds: float


Watch = tuple[int, AtOccasions]
"""The position of a fault that watches an occasion, and its conditions."""


class FaultPlan(Generic[F]):
    """The faults of one list in one world.

    `strikes` and `first` decide, `fire` counts. They are two steps, because what is decided now may take effect later, and
    find by then that there is nothing left to strike: such a fault has not fired. `hits` and `first_hit` do both at once.

    Args:
        faults: in order of precedence. One that is left out of this world keeps its place, with probability 0, since
            positions key the draws.
        site: a keyed uniform, given a fault's position and the name of an occasion, that decides whether it strikes there at
            all. By default it does.

    Attributes:
        faults: as given.
        fired: per fault, how often it took effect.
        stopped: no fault strikes any more. Set it whenever faults are to end.
        begun: the virtual second from which windows are counted.
    """

    __slots__ = ("_numbers", "_site", "_strikes", "_watching", "begun", "faults", "fired", "stopped")

    def __init__(self, faults: Iterable[F], site: Callable[[int, str], float] = lambda position, name: 0.0) -> None:
        self.stopped = False
        self.begun = 0.0
        self._site = site
        self._set_faults(tuple(faults))

    def _set_faults(self, faults: tuple[F, ...]) -> None:
        self.faults = faults
        self.fired = [0] * len(faults)
        self._numbers = [0] * len(faults)
        self._strikes = [0] * len(faults)
        self._watching: dict[str, tuple[Watch, ...]] = {}

    def changed(self, kept: Iterable[int], added: Iterable[F] = ()) -> Self:
        """A plan of the faults at these positions, which go on counting, and after them new ones, which begin to."""
        positions = list(kept)
        plan = copy(self)
        plan._set_faults((*(self.faults[position] for position in positions), *added))
        for position, old in enumerate(positions):
            plan.fired[position] = self.fired[old]
            plan._numbers[position] = self._numbers[old]
            plan._strikes[position] = self._strikes[old]
        return plan

    # At occasions

    def watching(self, name: str) -> tuple[Watch, ...]:
        """The faults that watch the occasions of this name, each with its position and its conditions."""
        found = self._watching.get(name)
        if found is None:
            conditions = ((position, fault.when) for position, fault in enumerate(self.faults))
            found = self._watching[name] = tuple(
                (position, when)
                for position, when in conditions
                if isinstance(when, AtOccasions)
                and fnmatchcase(name, when.pattern)
                and (when.site_probability == 1.0 or self._site(position, name) < when.site_probability)
            )
        return found

    def strikes(self, position: int, when: AtOccasions, now: float, draw: Draw) -> bool:
        """Whether a fault strikes an occasion that it watches. Call it once for each: it counts the occasion.

        Args:
            position: of the fault in the list.
            when: its conditions, as `watching` gives them.
            now: virtual seconds.
            draw: decides, where the probability is neither 0 nor 1.
        """
        number = self._numbers[position] = self._numbers[position] + 1
        if self.stopped or (when.nth is not None and number not in when.nth):
            return False
        window = when.window_seconds
        if window is not None and not window[0] <= now - self.begun < window[1]:
            return False
        if when.strikes_max is not None and self._strikes[position] >= when.strikes_max:
            return False
        probability = when.probability
        if probability < 1.0 and (probability == 0.0 or draw(position, number) >= probability):
            return False
        self._strikes[position] += 1
        return True

    def occasions(self, position: int) -> int:
        """How many occasions a fault has watched so far, which is the number of the last."""
        return self._numbers[position]

    def first(self, watching: Sequence[Watch], now: float, draw: Draw) -> int | None:
        """The position of the first of these faults that strikes an occasion; the others count it as well.

        Args:
            watching: some of what `watching` gives, in order of precedence.
            now, draw: as of `strikes`.
        """
        chosen: int | None = None
        for position, when in watching:
            if chosen is not None:
                self._numbers[position] += 1
            elif self.strikes(position, when, now, draw):
                chosen = position
        return chosen

    def fire(self, position: int) -> None:
        """A fault takes effect now: count it."""
        self.fired[position] += 1

    def hits(self, position: int, when: AtOccasions, now: float, draw: Draw) -> bool:
        """The same as `strikes`, of a fault that takes effect at once."""
        if self.strikes(position, when, now, draw):
            self.fired[position] += 1
            return True
        return False

    def first_hit(self, watching: Sequence[Watch], now: float, draw: Draw) -> int | None:
        """The same as `first`, of faults that take effect at once."""
        position = self.first(watching, now, draw)
        if position is not None:
            self.fired[position] += 1
        return position

    # At times

    def timed(self, strikes: Draw, at: Draw) -> list[TimedStrike]:
        """All strikes at times of their own, by position and number. Whoever lets one take effect calls `fire`.

        Args:
            strikes: decides whether each will strike.
            at: turned into its time.
        """
        found = []
        for position, fault in enumerate(self.faults):
            when = fault.when
            if isinstance(when, AtTimes):
                for number in range(when.times):
                    if strikes(position, number) < when.probability:
                        found.append(TimedStrike(position, number, when.at_seconds.sample(at(position, number))))
        return found
