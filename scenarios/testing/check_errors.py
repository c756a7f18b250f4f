"""What `relaysim.check` raises and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class _CheckError(AssertionError):
    """See the two below. `story` is that of one world, or empty; `seed` that world's, or None."""

    def __init__(self, message: str, *, story: Sequence[str] = (), seed: int | None = None, replay: str = "") -> None:
        super().__init__(message)
        self.story, self.seed, self.replay = tuple(story), seed, replay


class CheckFailedError(_CheckError):
    """A claim is false of the relay, or messages were left without anything.

    Attributes:
        story: what happened in one world, at most 25 lines.
        seed: that world's seed, None if no single world shows it (a rate).
        replay: the command that shows the same world at more length, "" if no single world shows it.
    """


class NotShownError(_CheckError):
    """Nothing refutes the claims, but nothing shows them either: something kept the relay from running, or there were too
    few worlds for a rate. It has the same attributes."""


for _public in (CheckFailedError, NotShownError):
    _public.__module__ = "relaysim"  # where users know them, and reports of tests name them


@dataclass(frozen=True, slots=True)
class Checked:
    """What `relaysim.check` found, where it found nothing wrong.

    Attributes:
        scenario: its name.
        seeds: those that were run, in the order of running.
        verdicts: of each claim by its id: `verified`, `inconclusive` (of fewer than 7 worlds), or as the scenario expects.
        counts: what was counted in all worlds together, such as `messages`, `answered` and `lost`.
    """

    scenario: str
    seeds: tuple[int, ...] = field(repr=False)
    verdicts: Mapping[str, str]
    counts: Mapping[str, int] = field(repr=False)
