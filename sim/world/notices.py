"""What a relay writes by itself: how much of it, when, and whether anybody can vouch for it.

A *notice* is a text that no run wrote and that is no apology (`relaysim.sim.trace.joining`). It is about the message in
whose handling it was sent, or else about the newest one of its conversation that a worker had been handed; and as well about
every message of the conversation that waits for its answer, since the handling that has the lock answers them all.

Each notice is booked on one of the messages that it is about, so that as few as possible are beyond what the limits allow
for each delivery of a message and for each minute that it waits for its answer. Those are too many. Out of place is a notice
that the relay does not declare and that nobody waits for: no message of its conversation is
unanswered, and the latest answer or apology is longer ago than the limits allow.

What a notice says is known to its author alone. It is *undeclared* if neither the scenario nor the relay declares it and it
is not customary either (`relaysim.sim.trace.own_texts`): "Your order has been cancelled" may be true, and may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from relaysim.sim.counted import counted
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
            given.setdefault(send.conversation, []).append(send)
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
    for conversation, sends in given.items():
        if len(sends) > settings.limits.notices_per_message:
            _check_count(conversation, sends, history, ended_at, settings, note)
    return count


def _check_count(
    conversation: str,
    sends: Sequence[Text],
    history: History,
    ended_at: Mapping[str, float],
    settings: JudgeSettings,
    note: Note,
) -> None:
    """Note the notices of a conversation that none of the messages that they are about has room for."""
    allowed = {}
    for message in history.messages.values():
        if message.conversation == conversation and message.first_start is not None:
            waited = min(sends[-1].time, ended_at.get(message.id, sends[-1].time)) - message.first_start
            by_deliveries = settings.limits.notices_per_message * len(message.handlings)
            allowed[message.id] = int(by_deliveries + max(waited, 0.0) // 60.0)
    bookings = _Bookings(allowed)
    beyond: list[Text] = []
    full: set[str] = set()
    for send in sends:
        about = _message_of(send, history)
        names = [] if about is None else [about.id]
        for name in allowed:
            begun = history.messages[name].first_start
            if name not in names and begun is not None and begun <= send.time <= ended_at.get(name, send.time):
                names.append(name)
        tried = bookings.book(names)
        if tried:
            beyond.append(send)
            full |= tried
    if beyond:
        among = [name for name in allowed if name in full]
        got = sum(len(bookings.booked[name]) for name in among) + len(beyond)
        most = sum(allowed[name] for name in among)
        who = among[0] if len(among) == 1 else f"{among[0]} and {counted(len(among) - 1, 'further message')} together"
        said = f"{who} got {got:,} notices, and {most:,} are allowed: {_shown(beyond[-1].text)}"
        facts = {"message": among[0], "conversation": conversation, "received": [beyond[-1].text]}
        note("over_notices", said, len(beyond), **facts)


class _Bookings:
    """Notices, each booked on one of the messages that it is about, as many as there is room for.

    Args:
        allowed: per message, how many it has room for.

    Attributes:
        booked: per message, for each of its notices the messages that this one is about.
    """

    def __init__(self, allowed: Mapping[str, int]) -> None:
        self._allowed = allowed
        self.booked: dict[str, list[Sequence[str]]] = {name: [] for name in allowed}

    def book(self, names: Sequence[str]) -> set[str]:
        """Book a notice on one of these messages and move others if need be; else tell which messages are full."""
        tried: set[str] = set()
        return set() if self._find_room(names, tried) else tried

    def _find_room(self, names: Sequence[str], tried: set[str]) -> bool:
        for name in names:
            if name in tried:
                continue
            tried.add(name)
            held = self.booked[name]
            if len(held) < self._allowed[name]:
                held.append(names)
                return True
            for place, others in enumerate(held):
                if self._find_room(others, tried):  # that notice has found room elsewhere
                    held[place] = names
                    return True
        return False


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
