"""The lines of a story that tell of locks: who takes, extends and releases them, and who takes away another one's."""

from __future__ import annotations

from collections.abc import Callable

from relaysim.reports.story_lines import Line, Rank


class LockLines:
    """Keeps who holds which lock, while a trace is read.

    What a script does is not in the trace. It has extended a lock if the same holder comes back to the lock, or if the lock
    expires; else it has released it.

    Args:
        line: adds a line to the story, of a time, who, what, and how much it tells.
    """

    def __init__(self, line: Callable[..., Line]) -> None:
        self._line = line
        self._held_by: dict[str, tuple[str, str]] = {}  # lock -> its holder, and the holder's name in the story
        self._scripts: dict[tuple[str, str], Line] = {}  # holder and lock -> the line of its latest script

    def taken(self, time: float, who: str, worker: str, delivery: str, key: str) -> None:
        """Somebody takes a lock."""
        self._held_by[key] = delivery or worker, who
        self._line(time, who, f"takes the lock {key}", Rank.LOCK_TAKEN, delivery=delivery)

    def let_go(
        self, time: float, who: str, worker: str, delivery: str, key: str, verb: str, *, was_there: bool
    ) -> None:
        """A script or a deletion reaches a lock, and did something to it if `was_there`."""
        if not was_there:
            what = "it was no longer its own" if verb.startswith("EVAL") else "it was gone already"
            self._line(time, who, f"releases the lock {key}: {what}", Rank.REFUSED, delivery=delivery)
            return
        self._note_extension(worker, delivery, key)
        holder = delivery or worker
        held_by, owner = self._held_by.get(key, (holder, who))
        if verb.startswith("EVAL"):
            line = self._line(time, who, f"releases the lock {key}", Rank.LOCK_RELEASED, delivery=delivery)
            self._scripts[holder, key] = line
            return
        self._held_by.pop(key, None)
        if held_by == holder:
            self._line(time, who, f"releases the lock {key}", Rank.LOCK_RELEASED, delivery=delivery)
        else:
            sentence = f"deletes the lock {key}, which {owner} holds"
            self._line(time, who, sentence, Rank.LOCK_LOST, delivery=delivery, loud=True)

    def expired(self, worker: str, delivery: str, key: str) -> None:
        """A lock has run out."""
        self._note_extension(worker, delivery, key)
        self._held_by.pop(key, None)

    def _note_extension(self, worker: str, delivery: str, key: str) -> None:
        holder = delivery or worker
        line = self._scripts.pop((holder, key), None)
        if line is not None and self._held_by.get(key, ("", ""))[0] == holder:
            line.text, line.rank = f"extends the lock {key}", Rank.LOCK_HELD
