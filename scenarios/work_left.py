"""How much of a command's work is done and how long the rest will take, by what worlds of each kind have cost so far.

Worlds of one kind cost about the same: those of a scenario under one policy, say. Kinds may differ a hundredfold, so no
mean over all of them tells how long the rest takes. What a kind costs is measured here as its worlds are done; before that
it may be known from elsewhere (an earlier run), and is then scaled by how the kinds that are known from both compare; or be
taken to be that of a kind that it is like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

UNKNOWN_MAX: Final = 0.1
"""Of all worlds, the share that may be of kinds of which nothing is known: they are taken to cost the others' mean."""

_SLACK_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Kind:
    """Worlds of one kind: how many are planned and done, how many of these were measured, and the seconds of one process
    that those took; `elsewhere` is what one costs by another measurement, `like` the kind that costs about the same."""

    planned: int = 0
    done: int = 0
    measured: int = 0
    seconds: float = 0.0
    elsewhere: float | None = None
    like: str = ""

    @property
    def rest(self) -> int:
        return self.planned - self.done


class Work:
    """What a command has to do.

    Args:
        jobs: how many processes work at once, 1 or more.
    """

    def __init__(self, jobs: int = 1) -> None:
        self._jobs = jobs
        self._kinds: dict[str, _Kind] = {}
        self._fraction = 0.0
        self.is_open = False
        """Whether nobody knows how much there is to do."""
        # Since when the processes work, and how many seconds those took that are done; before that they were started.
        self._since: float | None = None
        self._last = 0.0
        self._busy = 0.0
        self._largest = 0.0
        self._latest = 0.0

    @property
    def done(self) -> int:
        """How many worlds are done, never more than `total`."""
        return sum(each.done for each in self._kinds.values())

    @property
    def total(self) -> int:
        """How many worlds there are, as far as they are planned."""
        return sum(each.planned for each in self._kinds.values())

    @property
    def fraction(self) -> float:
        """The share that is done, from 0 to 1. It never falls, also where more work turns up."""
        total = self.total
        self._fraction = max(self._fraction, self.done / total if total else 0.0)
        return self._fraction

    @property
    def is_measured(self) -> bool:
        """Whether any world was measured here."""
        return any(each.measured for each in self._kinds.values())

    def plan(self, kind: str, worlds: int) -> None:
        """So many worlds more are to be done."""
        self._kinds.setdefault(kind, _Kind()).planned += worlds

    def known_elsewhere(self, kind: str, seconds: float) -> None:
        """What a world of this kind costs by another measurement, in seconds of one process; the first one counts."""
        each = self._kinds.setdefault(kind, _Kind())
        if each.elsewhere is None and seconds > 0:
            each.elsewhere = seconds

    def alike(self, kind: str, other: str) -> None:
        """Until a world of this kind was measured, one is taken to cost what one of the other kind costs."""
        self._kinds.setdefault(kind, _Kind()).like = other

    def did(self, kind: str, worlds: int, seconds: float | None, at: float) -> None:
        """Worlds are done.

        Args:
            kind: theirs.
            worlds: how many.
            seconds: of one process that they took; None if that was not measured.
            at: the time, in seconds since any fixed moment.
        """
        each = self._kinds.setdefault(kind, _Kind())
        self.is_open = self.is_open or not each.planned
        each.done += worlds
        each.planned = max(each.planned, each.done)
        if seconds is not None:
            each.measured += worlds
            each.seconds += seconds
        took = worlds * (self._cost_of(each) or 0.0) if seconds is None else seconds
        if self._since is None:
            self._since = at - took
        self._busy += took
        self._latest, self._largest = took, max(self._largest, took)
        self._last = at

    def spare(self, kinds: Iterable[str], worlds: int | None = None) -> None:
        """What is left of these kinds need not be done, or so many worlds of each."""
        for kind in kinds:
            each = self._kinds.get(kind, _Kind())
            each.planned -= each.rest if worlds is None else min(each.rest, worlds)

    def seconds_left(self, at: float) -> float | None:
        """Seconds until all worlds are done; None if that is not known.

        It is not while nothing is known of the kinds of more than `UNKNOWN_MAX` of all worlds, nor when nothing was heard
        for longer than all of the rest was to take, nor where work is done that was not planned.

        Args:
            at: the time, as in `did`.
        """
        rest = sum(each.rest for each in self._kinds.values())
        if self.is_open:
            return None
        if not rest:
            return 0.0
        costs = [(each, self._cost_of(each)) for each in self._kinds.values()]
        known = [(each, cost) for each, cost in costs if cost is not None]
        unknown = sum(each.rest for each, cost in costs if cost is None)
        weight = sum(each.measured or each.planned for each, _ in known)
        if not weight or unknown > UNKNOWN_MAX * self.total:
            return None
        mean = sum((each.measured or each.planned) * cost for each, cost in known) / weight
        process_seconds = sum(each.rest * cost for each, cost in known) + unknown * mean
        # At the end there is less to hand out than there are processes.
        busy = min(float(self._jobs), max(1.0, process_seconds / self._latest)) if self._latest else float(self._jobs)
        in_hand = self._in_hand(min(busy, self._jobs - 1))
        left = max(0.0, process_seconds - in_hand) / min(busy, self._at_once(in_hand))
        if self._since is None:
            return left
        silent = at - self._last
        return left - silent if silent < left else (0.0 if silent < _SLACK_SECONDS else None)

    def seconds_left_at_least(self) -> float | None:
        """Seconds that the rest of the kinds of which something is known takes with all processes at it; None if that is
        nothing, or if nobody knows how much there is to do."""
        if self.is_open:
            return None
        known = [(each.rest, cost) for each in self._kinds.values() if (cost := self._cost_of(each)) is not None]
        return sum(rest * cost for rest, cost in known) / self._jobs or None

    def _cost_of(self, kind: _Kind) -> float | None:
        """Seconds of one process that a world of this kind takes."""
        if kind.measured:
            return kind.seconds / kind.measured
        if kind.elsewhere is not None:
            return kind.elsewhere * self._scale()
        other = self._kinds.get(kind.like)
        if other is None:
            return None
        return other.seconds / other.measured if other.measured else None

    def _scale(self) -> float:
        """By how much worlds take longer here than where they were measured before."""
        both = [each for each in self._kinds.values() if each.measured and each.elsewhere]
        expected = sum(each.measured * (each.elsewhere or 0.0) for each in both)
        here = sum(each.seconds for each in both)
        return here / expected if here and expected else 1.0

    def _seen(self) -> float:
        """Seconds of real time for which processes were seen at work."""
        return 0.0 if self._since is None else self._last - self._since

    def _in_hand(self, others: float) -> float:
        """Seconds that so many other processes have spent on what is not done yet: half of it each, on the average."""
        return min(max(0.0, self._jobs * self._seen() - self._busy), others * self._latest / 2)

    def _at_once(self, in_hand: float) -> float:
        """How many processes are busy: taken to be all of them, until it is seen for longer than a few results take."""
        taken = _SLACK_SECONDS + 2 * self._largest
        busy = self._jobs * taken + self._busy + in_hand
        return min(float(self._jobs), max(0.05, busy / (taken + self._seen())))
