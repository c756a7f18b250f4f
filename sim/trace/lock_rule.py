"""What a busy conversation refuses: how whoever reads a trace tells a conflict from any other refusal."""

from __future__ import annotations

from typing import Final, NamedTuple


class LockRule(NamedTuple):
    """The requests that change a conversation, and how they are refused while a turn is active on it.

    An operation may both append and start a turn. The defaults are those of the Threads API, which names the active run.

    Attributes:
        appends: operations that append a customer's message.
        starts: operations that start a turn.
        cancels: operations that ask for a turn's end.
        statuses: the status with which an append or a start is refused because a turn is active.
    """

    appends: frozenset[str] = frozenset({"messages.create"})
    starts: frozenset[str] = frozenset({"runs.create"})
    cancels: frozenset[str] = frozenset({"runs.cancel"})
    statuses: frozenset[int] = frozenset({400})


DEFAULT_LOCK: Final = LockRule()
