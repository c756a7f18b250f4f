"""What a relay writes by itself: how much of it, when, and whether anybody can vouch for it.

A *notice* is a text that no run wrote and that is no apology (`relaysim.sim.trace.joining`). It belongs to the message in
whose handling it was sent, or else to the newest one of its conversation that a worker had been handed.

Too many are those beyond what the limits allow for each delivery of the message and for each minute that it waits for its
answer. Out of place is a notice that the relay does not declare and that nobody waits for: no message of its conversation is
unanswered, and the latest answer or apology is longer ago than the limits allow.

What a notice says is known to its author alone. It is *undeclared* if neither the scenario nor the relay declares it and it
is not customary either (`relaysim.sim.trace.own_texts`): "Your order has been cancelled" may be true, and may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relaysim.sim.trace.own_texts import is_customary
from relaysim.sim.trace.subjects import Message, Text
from relaysim.sim.world.judge.findings import at
from relaysim.sim.world.judge.history import History
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.limits import Note

_ARRIVING: Final = ("delivered", "unknown_delivered")
_SHOWN_MAX: Final = 200


def check_notices(history: History, ended_at: Mapping[str, float], settings: JudgeSettings, note: Note) -> int:
    """Note the notices that are too many or out of place, and those that nobody declares.

    Args:
        history: the world's trace, read.
        ended_at: per message when its first reply or apology left; messages without one are left out.
        settings: the limits.
        note: takes what is found, as `over_notices` and `undeclared_texts`.

    Returns:
        How many notices there were.
    """
    count = 0
    given: dict[str, list[Text]] = {}
    for send in history.sends:
        if send.run is not None or send.fate not in _ARRIVING or history.kind_of(send) != "notice":
            continue
        message = _message_of(send, history)
        facts = {"conversation": send.conversation, "received": [send.text]}
        if message is not None:
            facts["message"] = message.id
            given.setdefault(message.id, []).append(send)
        count += 1
        text = _shown(send.text)
        if history.is_declared(send):
            continue
        if not is_customary(history.own_words_of(send)):
            said = f"{send.conversation} was sent {text} at {at(send.time)}, which no run wrote and nobody declares"
            note("undeclared_texts", said, 1, **facts)
        if not _is_waited_for(send, history, ended_at, settings.limits.notice_seconds):
            said = f"{send.conversation} was sent {text} at {at(send.time)}, when no message of it had waited for long"
            note("over_notices", said, 1, **facts)
    for name, sends in given.items():
        message = history.messages[name]
        begun = sends[0].time if message.first_start is None else message.first_start
        waited = min(sends[-1].time, ended_at.get(name, sends[-1].time)) - begun
        allowed = settings.limits.notices_per_message * max(1, len(message.handlings)) + max(waited, 0.0) // 60.0
        if len(sends) > allowed:
            said = f"{name} got {len(sends):,} notices, and {allowed:g} are allowed: {_shown(sends[-1].text)}"
            beyond = len(sends) - int(allowed)
            note(
                "over_notices", said, beyond, message=name, conversation=message.conversation, received=[sends[-1].text]
            )
    return count


def _message_of(send: Text, history: History) -> Message | None:
    handling = history.handlings.get(send.delivery)
    if handling is not None and handling.message is not None and handling.conversation == send.conversation:
        return handling.message
    handed = (
        (each.first_start, each.number, each)
        for each in history.messages.values()
        if each.conversation == send.conversation and each.first_start is not None and each.first_start <= send.time
    )
    return max(handed, default=(0.0, 0, None))[2]


def _is_waited_for(send: Text, history: History, ended_at: Mapping[str, float], notice_seconds: float) -> bool:
    for message in history.messages.values():
        begun = message.first_start
        if message.conversation == send.conversation and begun is not None and begun <= send.time:
            ended = ended_at.get(message.id)
            if ended is None or send.time <= ended + notice_seconds:
                return True
    return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 1]}…")
