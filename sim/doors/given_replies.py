"""What assistants answer in a test, in the many ways in which a test may say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, cast

from pydantic import TypeAdapter, ValidationError

from relaysim.sim.backends.replies import (
    REPLIES,
    CallableReplies,
    EchoReplies,
    Replier,
    Replies,
    Reply,
    ScriptedReplies,
    ScriptedReply,
    Turn,
    echo_reply,
)
from relaysim.sim.doors.server.control_errors import problems_of

Then = Literal["repeat", "loop", "echo"]

GivenReply = str | Reply | Mapping[str, Any]
"""One turn: a text, a `Reply`, or a table of a script (`{"tool_calls": [...]}`, `{"fail": {}}`, ...)."""

GivenReplies = (
    GivenReply | Sequence[GivenReply] | Callable[[Turn], str | Reply] | EchoReplies | ScriptedReplies | CallableReplies
)
"""Every turn's reply; or each thread's turns in order; or a function of the turn; or replies as data."""

_REPLIES: Final[TypeAdapter[EchoReplies | ScriptedReplies | CallableReplies]] = TypeAdapter(Replies)


def replier_of(given: GivenReplies, then: Then = "repeat") -> Replier:
    """The function that replies as given.

    Args:
        given: in a text, `{input}` stands for the newest question. The turns of a sequence count, in each thread, from
            the first one that this replier is asked for.
        then: after a sequence's last turn: `repeat` it, `loop` from the first, or `echo`.

    Raises:
        ValueError: a table with mistakes; the message names each.
        TypeError: nothing of what can be given.
    """
    if isinstance(given, EchoReplies | ScriptedReplies | CallableReplies):
        return _from_here(given.replier())
    if isinstance(given, Mapping) and "kind" in given:
        with _errors_reworded(Replies, "replies"):
            return _from_here(_REPLIES.validate_python(given).replier())
    if isinstance(given, (str, Mapping, *REPLIES)):
        return _turn(cast(GivenReply, given), "replies")
    if isinstance(given, Sequence):
        turns = cast(Sequence[GivenReply], given)
        if not turns:
            raise TypeError("replies: an empty sequence says nothing; give at least one turn")
        return _from_here(_sequence([_turn(each, f"replies[{index}]") for index, each in enumerate(turns)], then))
    if callable(given):
        return given
    raise TypeError(
        f"replies: {given!r} is neither a text, a Reply, a table, a sequence of them nor a function of the turn"
    )


def _turn(given: GivenReply, where: str) -> Replier:
    if isinstance(given, REPLIES):
        return lambda turn: given
    if isinstance(given, str):
        return ScriptedReply(text=given).reply
    if isinstance(given, Mapping):
        with _errors_reworded(ScriptedReply, where):
            return ScriptedReply.model_validate(dict(given)).reply
    raise TypeError(f"{where}: {given!r} is neither a text, a Reply nor a table such as {{'text': '...'}}")


@contextmanager
def _errors_reworded(root: Any, where: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        problems = problems_of(error.errors(include_url=False), root, (where,))
        raise ValueError("; ".join(map(str, problems))) from None


def _sequence(turns: Sequence[Replier], then: Then) -> Replier:
    if then not in ("repeat", "loop", "echo"):
        raise TypeError(f"then: {then!r} is not 'repeat', 'loop' or 'echo'")

    def reply(turn: Turn) -> str | Reply:
        position = turn.number - 1
        if position >= len(turns):
            if then == "echo":
                return echo_reply(turn)
            position = position % len(turns) if then == "loop" else -1
        return turns[position](turn)

    return reply


def _from_here(replier: Replier) -> Replier:
    """The same, but a thread's turns are counted from the first one that is asked for."""
    begins: dict[str, int] = {}

    def reply(turn: Turn) -> str | Reply:
        begin = begins.setdefault(turn.run["thread_id"], turn.number)
        return replier(turn._replace(number=turn.number - begin + 1))

    return reply
