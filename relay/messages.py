"""What goes into a policy and what comes out of it: messages, outcomes, and the two apologies a customer may read."""

from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

GENERIC_APOLOGY: Final = "Desculpe, ocorreu um erro ao processar sua mensagem. Por favor, tente novamente."
"""Sent whenever the handling of a message fails; wording of the incident report of 4 November 2025."""

FRIENDLY_APOLOGY: Final = (
    "Desculpe, estou processando sua mensagem anterior. Por favor, aguarde um momento e tente novamente."
)
"""Sent when every attempt to append met an active run; wording of the incident report of 4 November 2025."""


class Outcome(StrEnum):
    """How a message ended.

    `check_then_act` and `cancel_and_retry` can know three of them: `ANSWERED` (the text sent was taken for the answer,
    being the newest message of the thread, whosever run wrote it), `FRIENDLY_APOLOGY` and `GENERIC_APOLOGY`. The others
    complete the vocabulary, for policies and observers that see more than one message at a time.
    """

    ANSWERED = "answered"
    COVERED = "covered"
    """Answered by a reply that was sent for another message of the same conversation."""
    FRIENDLY_APOLOGY = "friendly_apology"
    GENERIC_APOLOGY = "generic_apology"
    UNKNOWN = "unknown"
    """Something was sent, and whether it arrived cannot be known."""
    LOST = "lost"
    """Accepted, and covered by no reply that was sent."""


class IncomingMessage(Protocol):
    """What a policy reads of a message; `Message` is one, any object with these attributes will do."""

    @property
    def id(self) -> str:
        """The channel's id of the message: the same at each redelivery."""

    @property
    def conversation(self) -> str:
        """Whom to answer, as the channel names them (often a telephone number: never logged)."""

    @property
    def text(self) -> str:
        """The customer's words (never logged)."""

    @property
    def thread_id(self) -> str | None:
        """The conversation's OpenAI thread, or None to have it looked up in Redis, and created at need."""


# `drain` also reads an attribute `sent_at`, if there is one: when the customer wrote it, in seconds, or None.


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a customer; see `IncomingMessage` for the fields."""

    id: str
    conversation: str
    text: str
    thread_id: str | None = None
    sent_at: float | None = None


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one delivery of a message.

    outcome         None: this was a redelivery and was ignored; the message's outcome is that of its first delivery
    attempts        how often the message's append was requested, 0 if it never came to that (the SDK's own retries of a
                    request are not counted)
    waited_seconds  sum of the waits after conflicts, as they were asked of the event loop; 0.0 without a conflict.
                    Waits for locks and for the run are not part of it
    run_id          the run created for this message, None if none was
    """

    outcome: Outcome | None
    attempts: int
    waited_seconds: float
    run_id: str | None


class Sender(Protocol):
    """Sends a text to a customer: `await send(conversation, text)`.

    What it raises, `Policy.handle` passes on.
    """

    def __call__(self, conversation: str, text: str, /) -> Awaitable[None]: ...


class Policy(Protocol):
    """How a relay takes one message to its outcome. One object serves any number of messages at once."""

    async def handle(self, message: IncomingMessage) -> Handled:
        """Take one delivery of a message to its outcome, sending at most one text."""
        ...
