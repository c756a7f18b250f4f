"""What a pair of watched worlds says about a cause: how strong it is, and the lines of code that bring it in."""

from __future__ import annotations

import linecache
import math
import os
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from relaysim.scenarios.determinism.causes import CAUSES, CauseName
from relaysim.scenarios.determinism.fresh_process import Ending
from relaysim.scenarios.determinism.readings import Reading
from relaysim.scenarios.determinism.traces import Difference


class Place(NamedTuple):
    """A line that brings the cause in: `what` is read or kept there; `code` is the line itself."""

    file: str
    line: int
    function: str
    what: str
    code: str


class Evidence:
    """What a pair of watched worlds says about the places of each cause."""

    def __init__(self, one: Ending, other: Ending, difference: Difference | None) -> None:
        self._one, self._other, self._difference = one, other, difference

    def strongest(self, *causes: CauseName) -> CauseName:
        """The cause for which there is most to be seen: readings that came out otherwise, or any at all in the user's code
        or while a library of the user's was imported; the first of equals."""
        return max(causes, key=self._strength)

    def _strength(self, cause: CauseName) -> int:
        if cause == "kept state":
            return 2 if self._other.kept else 0
        readings = self._readings(CAUSES[cause].kinds)
        if self._differing(readings):
            return 3
        return 1 if any(each.users or each.time_seconds is None for each in readings) else 0

    def places(self, cause: CauseName) -> tuple[Place, ...]:
        """The lines that bring a cause in, the most likely one first."""
        if cause == "kept state":
            return _kept_places(self._other)
        readings = self._readings(CAUSES[cause].kinds)
        ranked = self._differing(readings)
        if not ranked:
            entity = "" if self._difference is None else self._difference.entity
            # The last one before the parting, where it parted; what was read while modules were imported comes after.
            ranked = sorted(
                (each for each in readings if not each.value),
                key=lambda each: (each.time_seconds is None, each.entity != entity, -(each.time_seconds or 0.0)),
            )
        first_of_line: dict[tuple[str, int], Reading] = {}
        for each in sorted(ranked, key=lambda each: not each.users):
            first_of_line.setdefault((each.file, each.line), each)
        return tuple(
            _place(each.file, each.line, "" if each.function == "<module>" else each.function, each.what)
            for each in first_of_line.values()
        )

    def _readings(self, kinds: Collection[str]) -> list[Reading]:
        """Those of the first world, until the parting."""
        until = math.inf if self._difference is None else self._difference.time_seconds
        return [each for each in self._one.readings if each.kind in kinds and (each.time_seconds or 0.0) <= until]

    def _differing(self, readings: Sequence[Reading]) -> list[Reading]:
        """Those whose value was seen, and is not the other world's."""
        mine, its = _values(readings), _values(self._other.readings)
        same = {spot for spot, values in mine.items() if its.get(spot, [])[: len(values)] == values}
        return [each for each in readings if each.value and _spot(each) not in same]


def _kept_places(ending: Ending) -> tuple[Place, ...]:
    return tuple(
        _place(each.file, each.line, "", f"`{each.what}` held {each.before}, and then {each.after}")
        for each in ending.kept
    )


def _spot(reading: Reading) -> tuple[str, str, int, str]:
    return reading.kind, reading.file, reading.line, reading.entity


def _values(readings: Iterable[Reading]) -> dict[tuple[str, str, int, str], list[str]]:
    found: dict[tuple[str, str, int, str], list[str]] = {}
    for each in readings:
        found.setdefault(_spot(each), []).append(each.value)
    return found


def _place(file: str, line: int, function: str, what: str) -> Place:
    return Place(file, line, function, what, linecache.getline(file, line).strip())


def shown_file(file: str) -> str:
    """A file's path as people read it: below the current folder where it is there."""
    short = os.path.relpath(file)
    return file if short.startswith("..") else short
