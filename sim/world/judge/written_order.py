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
    one, two = _stored(message), _stored(other)
    if one is not None and two is not None and two >= one:
        return False  # two workers had them at the same time, and this is how they came to the store
    first, second = _came(other), _came(message)
    return first is not None and second is not None and first < second


def _came(message: Message) -> float | None:
    """When it came to stay: what a relay refuses to take in, so that it comes again, it need not remember."""
    return next((each.start for each in message.handlings if each.error_class is None), message.first_start)


def _stored(message: Message) -> float | None:
    """When the relay's store had it to stay: at a delivery that the relay took in, if there was one."""
    came = _came(message)
    if came is None:
        return message.stored_at
    return next((time for time in message.acceptances if time >= came), message.stored_at)
