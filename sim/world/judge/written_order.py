"""Which of two messages was written first, as far as a relay can know it."""

from __future__ import annotations

from math import floor, inf

from relaysim.sim.trace.subjects import Message


def is_known_later(message: Message, other: Message, seconds: float) -> bool:
    """Whether a message was written later than another one, and a relay can know it.

    A provider's webhooks say when in whole seconds, or not at all: then what is left is the order in which they came.

    Args:
        message: the one that may be later.
        other: the other one, of the same conversation.
        seconds: how fine the provider says when; 0: exactly; infinite: it does not.
    """
    if message.sent_at <= other.sent_at:
        return False
    if not seconds or (seconds < inf and floor(other.sent_at / seconds) < floor(message.sent_at / seconds)):
        return True
    if other.stored_at is not None and message.stored_at is not None and other.stored_at >= message.stored_at:
        return False  # two workers had them at the same time, and this is how they came to the store
    return other.first_start is not None and message.first_start is not None and other.first_start < message.first_start
