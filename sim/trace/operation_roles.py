"""What an API's operations do to a conversation, so that whoever reads a trace knows it without knowing the API."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_NONE: frozenset[str] = frozenset()
_OURS: Final = re.compile(r"\b(run|thread)(s?)\b")


class Words(NamedTuple):
    """What an API calls its parts, for sentences that people read.

    Attributes:
        run: what answers: a run, a turn.
        thread: where messages stand: a thread, a conversation.
    """

    run: str = "run"
    thread: str = "thread"

    def said(self, sentence: str) -> str:
        """A sentence of this program's own, which speaks of runs and threads, in the API's words."""
        return _OURS.sub(lambda match: getattr(self, match[1]) + match[2], sentence)


class OperationRoles(NamedTuple):
    """Which operations do what, by their names, and how a busy conversation refuses: the rule of its lock.

    An operation may have several roles: one request may both append and start a turn.

    Attributes:
        appends: append a customer's message to a conversation.
        starts: start a turn in a conversation that is there already.
        cancels: ask for a turn's end.
        refusal_statuses: the statuses with which an append or a start is refused because a turn is active.
        opens: open a conversation and start no turn; what the trace has as their detail is its id.
        shows_turn: show one turn.
        lists_turns: list a conversation's turns.
        lists_messages: list a conversation's messages.
        shows_ends: show that a turn has ended, by what it left: where its messages are linked at its end.
        words: what the API calls its parts.
    """

    appends: frozenset[str]
    starts: frozenset[str]
    cancels: frozenset[str]
    refusal_statuses: frozenset[int]
    opens: frozenset[str] = _NONE
    shows_turn: frozenset[str] = _NONE
    lists_turns: frozenset[str] = _NONE
    lists_messages: frozenset[str] = _NONE
    shows_ends: frozenset[str] = _NONE
    words: Words = Words()
