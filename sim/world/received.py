"""What a customer received after a message was written, in words: whatever it was, and whoever sent it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from relaysim.sim.counted import counted
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.trace.subjects import Message, Text

_TEXT_MAX: Final = 200
_TEXTS_MAX: Final = 3


def received_words(
    chronicle: Chronicle, message: Message, sends: Iterable[Text], about: Mapping[int, Sequence[str]]
) -> str:
    """What the message's customer received after writing it: what was sent in its own handling first, then the rest.

    Args:
        chronicle: of the world.
        message: whose.
        sends: the texts that reached its conversation's customer.
        about: by the `index` of a sent reply, the messages that it is about.
    """
    own: list[str] = []
    others: list[str] = []
    for send in sends:
        if send.time < message.sent_at:
            continue
        handling = chronicle.handlings.get(send.delivery)
        is_own = message.id in send.names or (handling is not None and handling.message_id == message.id)
        (own if is_own else others).append(_named(chronicle, send, about.get(send.index, ())))
    times: dict[str, int] = {}
    for each in (*own, *others):
        times[each] = times.get(each, 0) + 1
    words = [each if count == 1 else f"{each} ({counted(count, 'time')})" for each, count in times.items()]
    if len(words) > _TEXTS_MAX:
        words = [*words[: _TEXTS_MAX - 1], f"{counted(len(words) - _TEXTS_MAX + 1, 'more text')}"]
    said = " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:]))) or "nothing"
    return f"after it, the customer received {said}"


def _named(chronicle: Chronicle, send: Text, about: Sequence[str]) -> str:
    run = send.run
    if run is None:
        return shortened(send.text)
    owner = chronicle.threads.get(run.thread, send.conversation)
    if owner != send.conversation:
        return f"what {run.id} had written for {owner}"
    if about:
        return f"the answer to {' and '.join(filter(None, (', '.join(about[:-1]), *about[-1:])))}"
    return shortened(send.text)


def shortened(text: str) -> str:
    """A text in quotes, not too long for a sentence."""
    return repr(text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…")
