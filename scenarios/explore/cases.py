"""A world whose every choice is given, and one run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relaysim.scenarios.explore.hunting import Breach
from relaysim.sim.kernel import DrawKey, Recording
from relaysim.sim.trace.schema import named
from relaysim.sim.world import Result, WorldSettings
from relaysim.sim.world.exploration import Tape, TapedDraw


@dataclass(frozen=True, slots=True)
class Case:
    """A world whose every choice is given.

    Attributes:
        settings: with neither tape nor strategy.
        seed: whose draws all others are.
        strikes, seconds: the choices of its tape.
    """

    settings: WorldSettings
    seed: int
    strikes: Mapping[DrawKey, float]
    seconds: Mapping[DrawKey, float]

    @property
    def tape(self) -> Tape:
        """The tape of this world."""
        return Tape(seed=self.seed, strikes=chains_of(self.strikes), seconds=chains_of(self.seconds, alike=True))

    @property
    def deviations(self) -> int:
        """In how many choices it differs from a world in which nothing strikes and all takes the median.

        A fault that strikes one and the same thing several times in a row is one choice, and so is one and the same thing
        that takes equally long several times in a row.
        """
        return len(chains_of(self.strikes)) + len(chains_of(self.seconds, alike=True))

    @property
    def size(self) -> tuple[int, int, int, int]:
        """What makes one case smaller than another: first the choices, then messages, single draws and workers."""
        workers = sum(group.count for group in self.settings.workers)
        choices = len(self.strikes) + len(self.seconds)
        return self.deviations, len(self.settings.workload.messages), choices, workers


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a case.

    Attributes:
        breach: what went wrong; None if it did not.
        result, recording: what the run left.
    """

    breach: Breach | None
    result: Result
    recording: Recording


def chains_of(choices: Mapping[DrawKey, float], *, alike: bool = False) -> tuple[TapedDraw, ...]:
    """Choices as a tape has them: successive ones of one draw's entity and purpose are one entry.

    Args:
        choices: by their draws.
        alike: only if their values are equal. Strikes need not be: whatever is below the least of them strikes too.
    """
    chains: list[list[tuple[DrawKey, float]]] = []
    for key, value in sorted(choices.items()):
        last, its = chains[-1][-1] if chains else (None, 0.0)
        if last is not None and last._replace(number=last.number + 1) == key and (its == value or not alike):
            chains[-1].append((key, value))
        else:
            chains.append([(key, value)])
    places = {key: place for place, key in enumerate(choices)}
    chains.sort(key=lambda chain: min(places[key] for key, _ in chain))
    return tuple(
        TapedDraw(
            entity=chain[0][0].entity,
            purpose=chain[0][0].purpose,
            index=chain[0][0].number,
            value=min(value for _, value in chain),
            times=len(chain),
        )
        for chain in chains
    )


def records_of_kind(result: Result, kind: str) -> list[tuple[float, Any]]:
    """The records of a kind that a run left, each with its time."""
    return [(time, named(kind, fields)) for time, _, its_kind, fields in result.records or () if its_kind == kind]
