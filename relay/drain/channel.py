"""The channel: how a text reaches a customer. A seam with one method.

A text can be sent twice, and no messaging provider known to us takes an idempotency key; so the one thing that must be
known of a failed send is whether the text can have left.
"""

import inspect
from collections.abc import Sequence
from typing import Protocol

from relaysim.relay.messages import Sender


class NotSent(Exception):
    """The text was surely not sent, for instance because the provider refused it: it may be offered again.

    An exception of another class says the same with an attribute `not_sent` that is true.
    """

    not_sent = True


class Channel(Protocol):
    """Sends texts to customers."""

    async def send(self, conversation: str, text: str, *, message_ids: Sequence[str]) -> None:
        """Send one text. Returns once the provider has taken it.

        Args:
            conversation: to whom.
            text: the reply, or an apology.
            message_ids: the messages that it ends, in order; a provider can quote them.

        Raises:
            NotSent: it was surely not sent.
            Exception: anything else says that its fate is unknown.
        """
        ...


class SenderChannel:
    """A channel from a `send` coroutine, which gets `message_ids` too if it can take them."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self._takes_ids = _takes(send, "message_ids")

    async def send(self, conversation: str, text: str, *, message_ids: Sequence[str]) -> None:
        """As `Channel.send`."""
        if self._takes_ids:
            await self._send(conversation, text, message_ids=tuple(message_ids))  # type: ignore[call-arg]
        else:
            await self._send(conversation, text)


def surely_not_sent(error: BaseException) -> bool:
    """Whether an exception of a channel says that the text was not sent."""
    return bool(getattr(error, "not_sent", False))


def _takes(function: object, name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
