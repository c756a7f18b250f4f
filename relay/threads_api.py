"""The part of the OpenAI client that the relay calls, and what it reads from the API's errors.

The protocols below are satisfied by `openai.AsyncOpenAI` (3.54) and name every call and every attribute in use, so that
a stand-in knows how little it must offer.
"""

import re
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

import openai

T_co = TypeVar("T_co", covariant=True)

CANCELLABLE_STATES: Final = frozenset({"queued", "in_progress", "requires_action"})
"""Active states in which a cancel can be requested. In `cancelling` it already was, and the API refuses a second."""

ENDED_STATES: Final = frozenset({"completed", "requires_action", "cancelled", "failed", "incomplete", "expired"})
"""States after which polling is pointless: the terminal ones, and `requires_action`, since this relay has no tools."""


class Identified(Protocol):
    """Anything the API gave an id."""

    @property
    def id(self) -> str: ...


class Run(Identified, Protocol):
    """A run, as far as the relay reads it. The SDK validates no state: one unknown here is polled on."""

    @property
    def status(self) -> str: ...


class ThreadMessage(Protocol):
    """A message in a thread; the parts of its content carry their words under `.text.value`, if they have any."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> Sequence[object]: ...


class Page(Protocol[T_co]):
    """The first page of a list; further pages are never asked for."""

    @property
    def data(self) -> Sequence[T_co]: ...


class Messages(Protocol):
    """`client.beta.threads.messages`"""

    async def create(self, thread_id: str, *, role: Literal["user"], content: str) -> object: ...
    def list(self, thread_id: str, *, limit: int, order: Literal["desc"]) -> Awaitable[Page[ThreadMessage]]: ...


class Runs(Protocol):
    """`client.beta.threads.runs`"""

    async def create(self, thread_id: str, *, assistant_id: str) -> Run: ...
    async def retrieve(self, run_id: str, *, thread_id: str) -> Run: ...
    async def cancel(self, run_id: str, *, thread_id: str) -> Run: ...
    def list(self, thread_id: str, *, limit: int) -> Awaitable[Page[Run]]: ...


class Threads(Protocol):
    """`client.beta.threads`"""

    @property
    def messages(self) -> Messages: ...
    @property
    def runs(self) -> Runs: ...
    async def create(self) -> Identified: ...


class Beta(Protocol):
    """`client.beta`"""

    @property
    def threads(self) -> Threads: ...


class ThreadsClient(Protocol):
    """What a policy needs of an OpenAI client."""

    @property
    def beta(self) -> Beta: ...


if TYPE_CHECKING:

    def _sdk_client_will_do(client: openai.AsyncOpenAI) -> ThreadsClient:
        return client


# The expression of the incident report. The sentence around it is taken from public error reports:
# "Can't add messages to thread_X while a run run_Y is active."
_ACTIVE_RUN: Final = re.compile(r"run (run_[a-zA-Z0-9]+) is active")
# "Thread thread_X already has an active run run_Y.", of the same origin.
_ACTIVE_AT_CREATION: Final = re.compile(r"already has an active run (run_[a-zA-Z0-9]+)")


def is_conflict(error: openai.APIError) -> bool:
    """Whether an append was refused because a run is active. Only the words tell: the error's code is null."""
    sentence = str(error)
    return "while a run" in sentence and "is active" in sentence


def is_creation_conflict(error: openai.APIError) -> bool:
    """Whether the creation of a run was refused because another is active."""
    return "already has an active run" in str(error)


def active_run_id(error: openai.APIError) -> str | None:
    """The run that a conflict names, or None if it names none that can be read."""
    found = _ACTIVE_RUN.search(str(error)) or _ACTIVE_AT_CREATION.search(str(error))
    return found[1] if found else None


def describe(error: Exception) -> str:
    """An error for the log, without its text, which may quote what was sent."""
    if isinstance(error, openai.APIStatusError):
        return f"{type(error).__name__} (status {error.status_code})"
    return type(error).__name__


def text_of(message: ThreadMessage) -> str | None:
    """The words of a message's first part, None if it has no part, no words (a picture), or they are empty."""
    if not message.content:
        return None
    words = getattr(getattr(message.content[0], "text", None), "value", None)
    return words if isinstance(words, str) and words else None
