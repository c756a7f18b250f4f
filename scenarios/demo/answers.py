"""What the simulated assistant answers: which messages it has read since it last answered, and by which run."""

from __future__ import annotations

from typing import Final

from relaysim.sim.backends.replies import Reply, Text, Turn, text_of

_WORDS_MAX: Final = 80
_NAMED_MAX: Final = 4


def tag_of(run_id: str) -> str:
    """How the page calls a run."""
    return run_id[-4:]


def answer(turn: Turn) -> Reply:
    """Names what was read, so that everybody sees which messages an answer covers. The run's tag makes its words unlike
    those of any other run, so that a text that arrives is known to be of it."""
    read: list[str] = []
    for message in turn.messages:
        if message["role"] == "assistant":
            read.clear()
        else:
            read.append(_shortened(text_of(message)))
    named = [f"“{each}”" for each in read[-_NAMED_MAX:]]
    if len(read) > _NAMED_MAX:
        named[0] = f"{len(read) - _NAMED_MAX + 1} more"
    words = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}" if named else "nothing new"
    return Text(f"I have read {words}. (run {tag_of(turn.run['id'])})")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS_MAX else f"{line[: _WORDS_MAX - 1]}…"
