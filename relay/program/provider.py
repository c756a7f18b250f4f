"""The seam to a provider of chat channels: what its webhooks say, and how a text leaves through it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from relaysim.relay.messages import Message

ID_LENGTH_MAX: Final = 256
"""Characters of a message's or a customer's id: those of the providers here have fewer than 100."""

KINDS: Final = ("message", "status", "own", "not_text", "not_ours", "unreadable")
"""What a webhook may hold, for its metric.

    message     a customer's words
    status      what became of a text that was sent, and other news of the channel
    own         a text of the bot's own
    not_text    a customer's picture, sound, place or the like: nothing that is answered
    not_ours    of another number or instance than the configured one, or of a group
    unreadable  a message without an id, a sender or words, where there must be some
"""


class Denied(NamedTuple):
    """A webhook that its provider did not send.

    status  401: it brings nothing that proves it; 403: what it brings is wrong
    why     in one of a fixed list of words
    """

    status: int
    why: str


@dataclass(slots=True)
class Reading:
    """What a webhook holds.

    messages  customers' messages, in the order in which they stand there
    others    what else, by its kind, see `KINDS`
    """

    messages: list[Message] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


class Sent(StrEnum):
    """What is known of a text."""

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"


class Request(NamedTuple):
    """A request that sends a text.

    url      whole
    headers  with what authorises it: never logged
    content  the body, as JSON
    """

    url: str
    headers: Mapping[str, str]
    content: Mapping[str, Any]


class Provider(Protocol):
    """A provider of chat channels."""

    name: str
    text_length_max: int | None
    """Characters that one text may have; None: no limit is known."""

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """What answers the request with which the provider verifies the address; None: it is no such request, or not its."""
        ...

    def denies_unread(self, headers: Mapping[str, str], body: bytes) -> Denied | None:
        """Why a webhook is refused before its body is parsed; None: nothing is wrong so far."""
        ...

    def denies(self, headers: Mapping[str, str], content: Mapping[str, Any]) -> Denied | None:
        """Why one that was parsed is refused; None: the provider has sent it."""
        ...

    def read(self, content: Mapping[str, Any]) -> Reading:
        """What it holds. Whatever stands there, this raises nothing."""
        ...

    def request(self, conversation: str, text: str) -> Request:
        """The request that sends a text to a conversation's customer."""
        ...

    def judge(self, status: int, content: Any) -> Sent:
        """What an answer says of the text: `content` is its JSON, None if it has none."""
        ...


def an_id(value: object) -> str | None:
    """An id as providers make them; None for anything else, which could not be kept or sent anywhere."""
    if not isinstance(value, str) or not 0 < len(value) <= ID_LENGTH_MAX:
        return None
    return value if value.isprintable() and " " not in value else None


def table(value: object) -> Mapping[str, Any]:
    """A JSON object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[Mapping[str, Any]]:
    """The JSON objects in a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def seconds_of(value: object) -> float | None:
    """A time in seconds since the Unix epoch, as a number or in digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 12):
        return None
    seconds = float(value) if not isinstance(value, int) or abs(value) < 10**12 else 0.0
    return seconds if 0 < seconds < 10**12 else None


def is_refusal(status: int) -> bool:
    """Whether a status says by itself that nothing was done."""
    return 300 <= status < 500 and status != 408


def code_of(content: Any) -> int | None:
    """The number that Graph gives an error."""
    error = content.get("error") if isinstance(content, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None


def first_id(value: object) -> bool:
    """Whether the first thing of a list has an id that is not empty."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and isinstance(first.get("id"), str) and bool(first["id"])
