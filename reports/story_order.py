"""Which lines of a story show that a message was overtaken by one that was written later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relaysim.reports.story_lines import Line, Link, Rank
from relaysim.sim.trace.chronicle import Chronicle

_STARTING: Final = frozenset({Rank.CREATED, Rank.FOREIGN_RUN, Rank.RUN_CREATED})
_STORING: Final = _STARTING | {Rank.APPENDED}


def raise_overtaking(window: Sequence[Line], chronicle: Chronicle, message_id: str) -> None:
    """Put above all else: when this message was written, had arrived and was stored; and of each message that was written
    later and stored earlier when it was written and stored, with its worker's last look before that and its run after it.

    Where nothing overtook the message, nothing changes.
    """
    message = chronicle.messages[message_id]
    stored = {name: line for line in reversed(window) if line.rank in _STORING for name in line.messages}
    own = stored.get(message_id)
    passed_by = [
        (name, line)
        for name, line in stored.items()
        if name in chronicle.messages
        and chronicle.messages[name].conversation == message.conversation
        and chronicle.messages[name].sent_at > message.sent_at
        and (own is None or (line.time, line.order) < (own.time, own.order))
    ]
    if not passed_by:
        return
    for line in window:
        if message_id in line.messages:
            line.rank = Rank.KEY
    for name, line in passed_by:
        line.rank = Rank.KEY
        for sent in (each for each in window if each.by_customer and name in each.messages):
            sent.rank = Rank.KEY
        looks = [each for each in window if each.link is Link.LOOK and each.who == line.who and each.time <= line.time]
        runs = [each for each in window if each.rank in _STARTING and each.who == line.who and each.order > line.order]
        for each in (*looks[-1:], *runs[:1]):
            each.rank = Rank.KEY
