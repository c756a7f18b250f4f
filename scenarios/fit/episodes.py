"""One message's way from its first refusal to its end, where the log says which lines belong together.

The lines in words name a run and never a conversation, and the last line of an episode names neither, so the lines of
workers that write into one log cannot be paired. Two things are known all the same:

- by run id: how long a request to cancel took, and what was waited before which attempt (`Chains`);
- by the pseudonym in events: the whole way of a message, with the moment of each refusal (`Episodes`).

Both remember a bounded number of unfinished ones, the latest.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

OPEN_MAX: Final = 100_000

Value = TypeVar("Value")


class Latest(Generic[Value]):
    """A mapping that forgets what was put into it longest ago."""

    def __init__(self, size: int = OPEN_MAX) -> None:
        self._size = size
        self._held: OrderedDict[bytes, Value] = OrderedDict()

    def put(self, key: bytes, value: Value) -> None:
        """Remember this one as the latest."""
        self._held[key] = value
        self._held.move_to_end(key)
        if len(self._held) > self._size:
            self._held.popitem(last=False)

    def get(self, key: bytes) -> Value | None:
        """What is remembered for the key, if anything is."""
        return self._held.get(key)

    def take(self, key: bytes) -> Value | None:
        """The same, and forget it."""
        return self._held.pop(key, None)

    def __len__(self) -> int:
        return len(self._held)


@dataclass(slots=True)
class Chain:
    """What a run in the way has cost so far: the last attempt that met it, the waits, and when its cancel was sent."""

    attempt: int
    waits: list[float] = field(default_factory=list)
    complete: bool = True  # seen from its first attempt on
    early: bool = False  # its first cancel was refused: the check had requested one before
    asked_at: float | None = None
    asked_digits: int = 0


@dataclass(slots=True)
class Episode:
    """The refusals of one conversation's message: when, by which run."""

    moments: list[float | None] = field(default_factory=list)
    runs: list[bytes] = field(default_factory=list)


_REFUSALS_MAX = 100


class Episodes:
    """Episodes by pseudonym, from the first refusal on."""

    def __init__(self) -> None:
        self._open: Latest[Episode] = Latest()

    def __len__(self) -> int:
        return len(self._open)

    def refused(self, conversation: bytes, run: bytes, at: float | None) -> None:
        """A request of this conversation met that run."""
        episode = self._open.get(conversation)
        if episode is None:
            episode = Episode()
            self._open.put(conversation, episode)
        if len(episode.moments) < _REFUSALS_MAX:
            episode.moments.append(at)
            episode.runs.append(run)

    def meets(self, conversation: bytes, run: bytes) -> bool:
        """Whether this run is the last that the conversation met, and its message is not through."""
        episode = self._open.get(conversation)
        return episode is not None and episode.runs[-1] == run

    def ended(self, conversation: bytes) -> Episode | None:
        """The conversation's episode, which is over."""
        return self._open.take(conversation)


def split_waits(total_seconds: float, count: int) -> list[float]:
    """What each of so many waits took if each is twice the one before, as the relay plans them."""
    first = total_seconds / (2**count - 1) if count else 0.0
    return [first * 2**index for index in range(count)]


def free_between(
    episode: Episode, *, refusals: int, recovered_at: float | None, waits: Sequence[float]
) -> tuple[float, float] | None:
    """Between which two moments after its cancel the run freed its thread: `(low, high]`, infinite if it never did.

    A cancel counts from where the API acts on it, an append where the API acts on that one. The log has the moments
    at which answers arrived. What passed between two of them, and was no wait, went to a cancel and an append in equal
    parts, and the API acts on a request when half of it has passed: for the first retry the sum of the two is all that
    matters.

    Args:
        episode: what was refused, when.
        refusals: how many there must have been, or the events are of more than one message.
        recovered_at: when the append succeeded; None: it never did.
        waits: seconds that were waited after each refusal that an attempt followed.

    Returns:
        None if the refusals are too few or too many, are not dated, name no run or leave no time for requests.
    """
    moments = [each for each in episode.moments if each is not None]
    if not len(moments) == len(episode.moments) == refusals or b"" in episode.runs:
        return None
    if recovered_at is not None:
        moments.append(recovered_at)
    if len(waits) < len(moments) - 1:
        return None
    spent = [later - earlier - wait for earlier, later, wait in zip(moments, moments[1:], waits, strict=False)]
    if any(each < 0 for each in spent):
        return None
    acted_on = [at - moments[0] - (spent[0] + each) / 4 for at, each in zip(moments[1:], spent, strict=True)]
    # Another run in the way: the first one had freed the thread by then.
    other = next((at for at, run in enumerate(episode.runs) if run != episode.runs[0]), None)
    if other is None:
        other = refusals
    ends = [0.0, *acted_on, math.inf]
    low, high = ends[other - 1], ends[other]
    return (low, high) if 0 <= low < high else None
