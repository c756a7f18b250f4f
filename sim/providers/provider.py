"""What a provider of a chat channel is: how it hands a customer's message on, and how a bot sends a text through it.

A provider is a table of a scenario, so all that it says can be set there; its methods are pure functions of that table and
their arguments. Where a behaviour comes from is said by a grade beside it:

- **S** the provider's own documentation.
- **C** the source of its server or of a client.
- **W** public reports.
- **A** assumed: nobody publishes it.

Conversations are `c1`, `c2` ..., as in a world. To the outside a customer has an address, which is made of that number: a
phone number, a chat's id or a channel's.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from relaysim.sim.providers import fields
from relaysim.sim.providers.fields import FAILURES, Failure
from relaysim.sim.providers.http import HttpRequest, HttpResponse

PUBLIC_NAME: Final = "bot.example.com"
"""The name under which the provider reaches the bot."""


class CustomerMessage(NamedTuple):
    """A customer's message, as the provider has it.

    id            unique in the world
    conversation  whose chat
    text          what the customer wrote
    sent_at       when, in seconds since the Unix epoch
    number        counts the messages of all customers in the order of writing, from 1
    """

    id: str
    conversation: str
    text: str
    sent_at: float
    number: int


class Attempt(NamedTuple):
    """Which delivery of a message this is.

    number   counts the repeats after a failure: 0 for the first delivery and for duplicates of it
    failure  how the delivery before it failed
    now      in seconds since the Unix epoch
    """

    number: int = 0
    failure: Failure | None = None
    now: float = 0.0


class Text(NamedTuple):
    """A request to send this text to this conversation's customer."""

    conversation: str
    text: str


class Done(NamedTuple):
    """A request that sends nothing and is answered at once: "is typing", a mark "read", or a refusal."""

    response: HttpResponse


class NotSimulated(NamedTuple):
    """A request for what is not simulated, however it is answered: `what` it asks for, and what its author can do.

    what    as the subject of a sentence
    remedy  what can be done about it
    """

    what: str
    remedy: str


BY_WEBHOOK_ONLY: Final = (
    "messages come by webhook only: let the bot take them by an HTTP handler, and name its application with --app "
    "(docs/own-bot.md has one for Telegram)"
)
"""The remedy where a bot fetches its messages."""


class Notification(NamedTuple):
    """What the bot is told of a text that it has sent: so many seconds after the provider took it."""

    seconds: float
    request: HttpRequest


class Limit(NamedTuple):
    """How often a bot may send.

    seconds  between two texts to one customer, in the long run
    burst    texts that may go out at once, on credit
    """

    seconds: float
    burst: int


class Provider(BaseModel, ABC):
    """What all providers have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(default="/webhook", description="path of the bot's webhook, with a query if it needs one")
    secret: str = fields.secret("the secret")
    deadline_seconds: float = fields.deadline(10.0)
    repeat_seconds: tuple[float, ...] = fields.repeats()
    repeat_jitter: float = fields.jitter(0.0)
    repeat_after: tuple[Failure, ...] = fields.repeats_after(*FAILURES)
    in_order: bool = fields.in_order(False)

    hosts: ClassVar[tuple[str, ...]] = ()
    """Names of the hosts at which the provider takes texts."""

    @property
    def order_seconds(self) -> float:
        """How fine webhooks say when a message was written; 0: their order is exact; infinite: they do not say it."""
        return 1.0

    limit: ClassVar[Limit | None] = None
    """How often a bot may send; None: no such limit is known."""

    @field_validator("path")
    @classmethod
    def _begins_with_a_slash(cls, path: str) -> str:
        if not re.fullmatch(r"/[\x21-\x7e]*", path):
            raise ValueError("a path begins with / and has no spaces, e.g. /webhook")
        return path

    @field_validator("repeat_seconds")
    @classmethod
    def _are_waits(cls, waits: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= wait <= 604_800 for wait in waits) or len(waits) > 10_000:
            raise ValueError("each wait is 0 to 604800 seconds, and there are at most 10000")
        return waits

    # The bot is told

    @property
    def url(self) -> str:
        """The webhook's address."""
        return f"https://{PUBLIC_NAME}{self.path}"

    @property
    def sending_hosts(self) -> tuple[str, ...]:
        """Names of the hosts at which this one takes texts."""
        return self.hosts

    @property
    def sending_limit(self) -> Limit | None:
        """How often a bot may send through this one."""
        return self.limit

    @property
    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """What bots usually read from their environment, with the values that fit this provider."""

    def verification(self) -> HttpRequest | None:
        """The request with which the provider makes sure whose address it is, before it delivers anything; None: it does
        not."""
        return None

    def is_verified(self, response: HttpResponse) -> bool:
        """Whether this response to `verification` is the right one."""
        return 200 <= response.status < 300

    @abstractmethod
    def webhook(self, messages: Sequence[CustomerMessage], attempt: Attempt) -> HttpRequest:
        """The request that hands messages of one conversation on; several only where the provider `waits_for_more`."""

    def waits_for_more(self, u: float) -> bool:
        """Whether a message waits for the conversation's next one, to come in one request with it.

        Args:
            u: a uniform in (0, 1) of this message.
        """
        return False

    def acknowledges(self, response: HttpResponse) -> bool:
        """Whether this response acknowledges a webhook."""
        return 200 <= response.status < 300

    def is_final(self, response: HttpResponse) -> bool:
        """Whether a response that does not acknowledge ends the repeats."""
        return False

    def replies(self, response: HttpResponse, message: CustomerMessage) -> tuple[Text, ...]:
        """The texts that a webhook's response asks the provider to send."""
        return ()

    def repeats(self, failure: Failure, number: int, u: float) -> float | None:
        """After how many seconds a delivery comes again; None: it does not.

        Args:
            failure: how it failed.
            number: how many repeats there were before, from 0.
            u: a uniform in (0, 1) for the jitter.
        """
        if failure not in self.repeat_after or number >= len(self.repeat_seconds):
            return None
        return self.repeat_seconds[number] * (1 + self.repeat_jitter * (2 * u - 1))

    # The bot sends

    @abstractmethod
    def read(self, request: HttpRequest) -> Text | Done | NotSimulated:
        """What a request to one of `sending_hosts` asks for."""

    @abstractmethod
    def sent(self, text: Text, number: int, now: float) -> HttpResponse:
        """The response to a text that was taken.

        Args:
            text: what was sent.
            number: counts all texts that were taken, from 1.
            now: in seconds since the Unix epoch.
        """

    @abstractmethod
    def not_sent(self) -> HttpResponse:
        """The response when the provider has a fault of its own: the text was surely not sent."""

    def notifications(self, text: Text, number: int, now: float) -> tuple[Notification, ...]:
        """What the bot's webhook gets for a text that was taken: statuses, or the text itself.

        Args:
            text, number, now: as of `sent`.
        """
        return ()

    def limited(self, seconds: float) -> HttpResponse:
        """The response to a text beyond the limit, which would be taken in so many seconds.

        Raises:
            NotImplementedError: this provider has no limit.
        """
        raise NotImplementedError(f"{type(self).__name__} has no limit")

    # Addresses

    @abstractmethod
    def address(self, conversation: str) -> str:
        """How the provider calls this conversation's customer."""

    def conversation(self, address: str) -> str | None:
        """Whose address this is; None: nobody's. Takes what bots make of addresses: a plus sign, a prefix, spaces."""
        number = number_in(address)
        return None if number is None else f"c{number}"


def number_of(conversation: str) -> int:
    """The number of a conversation: 7 for `c7`."""
    return int(conversation[1:])


def display_name(conversation: str) -> str:
    """What a customer calls himself. Two by two they have the same name, as customers may: it identifies nobody."""
    return f"Customer {(number_of(conversation) + 1) // 2}"


PHONE_BASE: Final = 5_511_990_000_000
_CUSTOMERS_MAX: Final = 1_000_000


def phone_of(conversation: str) -> str:
    """A customer's phone number, in digits with the country's code."""
    return str(PHONE_BASE + number_of(conversation))


def number_in(phone: str) -> int | None:
    """Which customer has this phone number, however it is written; None: nobody.

    Known are a prefix such as `whatsapp:`, a plus sign, spaces, brackets and hyphens, and what follows a number in a name of
    WhatsApp's own: `:7@s.whatsapp.net`.
    """
    found = _PHONE.fullmatch(phone.strip())
    digits = re.sub(r"\D", "", found[1]) if found else ""
    number = int(digits) - PHONE_BASE if digits else 0
    return number if 0 < number <= _CUSTOMERS_MAX else None


_PHONE: Final = re.compile(r"(?:[a-z]+:)?\+?([0-9][0-9 ().-]{0,30})(?::[0-9]+)?(?:@[\w.]+)?")


def token(*parts: object, octets: int = 16) -> bytes:
    """Octets that are the same for the same parts, and else others."""
    return blake2b("\0".join(map(str, parts)).encode(), digest_size=octets).digest()


def doubling(first: float, longest: float, total: float) -> tuple[float, ...]:
    """Waits that begin with `first` and double up to `longest`, for `total` seconds in all."""
    waits, wait, left = [], first, total
    while wait <= left:
        waits.append(wait)
        left -= wait
        wait = min(2 * wait, longest)
    return tuple(waits)


def header_is_set(headers: Mapping[str, str], name: str, prefixes: Collection[str]) -> bool:
    """Whether a header says something after one of these prefixes, such as `Bearer `."""
    value = headers.get(name, "")
    return any(value.startswith(prefix) and len(value) > len(prefix) for prefix in prefixes)
