"""Exceptions that are told beside the verdicts: those that no code received, and those of a `handle` that had answered.

The answer is out, so nothing is lost; but in production the provider takes the message for unhandled and delivers it again,
or the process starts anew, which a world shows only where deliveries are repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relaysim.sim.trace.subjects import Text
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.limits import Note
from relaysim.sim.world.obstacles import Raised


def check_after_answers(raised: Iterable[Raised], history: History, note: Note) -> dict[str, dict[str, Any]]:
    """Note each handling that raised although its answer had been sent.

    Args:
        raised: the exceptions that ended handlings, or tasks of theirs.
        history: the world's trace, read.
        note: takes what is found, as `raised_after_answer`.

    Returns:
        Of these, and of all that no code received: what escaped whom and where, with what it `said` first, and how many
        `times` it was seen.
    """
    told: dict[str, dict[str, Any]] = {}
    for _, _, event in history.exceptions:
        _tell(told, event.headline, event.text)
    for each in dict.fromkeys(raised):
        handling = history.handlings.get(each.delivery)
        if each.in_task or handling is None:
            continue
        if any(isinstance(subject, Text) and subject.run is not None for _, _, subject in handling.steps):
            name, _, place = each.what.partition(" in ")
            headline = f"{name} ended `handle` after its answer had been sent" + (f" ({place})" if place else "")
            _tell(told, headline, each.words)
            said = f"{handling.worker}, handling {handling.message_id}: {headline}: {each.words}"
            note("raised_after_answer", said, 1, conversation=handling.conversation)
    return told


def _tell(told: dict[str, dict[str, Any]], headline: str, said: str) -> None:
    told.setdefault(headline, {"said": said, "times": 0})["times"] += 1
