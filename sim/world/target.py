"""The target: what a world drives. Its kinds are in `relaysim.sim.world.target_kinds`.

A worker has one target per life. It is started on the worker's host with a `Life`, is handed deliveries, may serve in the
background, declares what it promises, and is asked for its ledger at the world's end. Workers, webhooks, the world and
the audit know nothing else of it. What a scenario's factory returns decides which kind it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from relaysim.sim.kernel import Host, SimulatorError
from relaysim.sim.providers import Attempt, HttpRequest, Provider, Text
from relaysim.sim.world.judge.promises import Promises


class SentMessage:
    """A customer's message, as a target receives it.

    Attributes:
        id: unique in the world, e.g. `c1.m2`.
        conversation: whose chat it belongs to, e.g. `c1`; what `send` takes.
        text: what the customer wrote.
        thread_id: the conversation's thread, which exists from the start.
        sent_at: when the customer wrote it, in seconds since the Unix epoch: webhooks may come in another order. None: the
            channel does not tell.
        number: counts the messages of all customers in the order of writing, from 1.
    """

    __slots__ = ("conversation", "id", "number", "sent_at", "text", "thread_id", "tries")

    def __init__(
        self, message_id: str, conversation: str, text: str, thread_id: str, tries: int, sent_at: float | None = 0.0
    ) -> None:
        self.id = message_id
        self.conversation = conversation
        self.text = text
        self.thread_id = thread_id
        self.tries = tries
        self.sent_at = sent_at
        self.number = 0

    def __repr__(self) -> str:
        return f"SentMessage(id={self.id!r}, conversation={self.conversation!r}, text={self.text!r})"


class Send(Protocol):
    """What a target is given to send a text with."""

    def __call__(
        self, conversation: str, text: str, *, message_ids: Sequence[str] = ()
    ) -> Coroutine[Any, Any, None]: ...


def outcome_name(result: Any) -> str | None:
    """What a relay calls the outcome that it returned: of an `Outcome`, of an object that has one, or of a text."""
    outcome = getattr(result, "outcome", result)
    value = getattr(outcome, "value", outcome)
    return value if isinstance(value, str) else None


class TargetError(SimulatorError, ValueError):
    """What the factory returned cannot be driven; the message says why and what can be."""


class Delivering(Protocol):
    """The provider in a world, as a target knows it."""

    @property
    def provider(self) -> Provider:
        """How it behaves."""

    async def send(self, text: Text, host: Host) -> int:
        """Send a text that a response to a webhook asks for, for a worker on this host.

        Raises:
            SendRefused: it was surely not sent.
            TimeoutError: whether it was sent is not known.
        """


_BODY_MAX: Final = 200


class NotAcknowledged(Exception):
    """A response that does not acknowledge a delivery.

    Args:
        status: of the response.
        path: that the webhook went to.
        is_final: whether the provider repeats nothing after it.
        body: of the response.
    """

    def __init__(self, status: int, path: str, *, is_final: bool = False, body: bytes = b"") -> None:
        words = " ".join(body[:_BODY_MAX].decode(errors="replace").split())
        super().__init__(
            f"the webhook, POST {path}, was answered with status {status}" + (f": {words}" if words else "")
        )
        self.what = f"status {status}"
        self.is_final = is_final


class NobodyListens(ConnectionError):
    """A webhook whose connection was refused: the relay never had it."""


class Life(NamedTuple):
    """Where one life of a worker takes place, and what reaches the simulated services from there.

    host      its process; whatever the target does runs on it, and ends without any notice when the host crashes
    openai    a client of the simulated API
    redis     a client of the simulated Redis
    send      sends a text to a customer
    settings  the relay's, with those of the worker's group on top
    provider  delivers the webhooks and takes texts over HTTP; None: webhooks are calls, and texts go by `send`
    own_clients  makes clients of the API and of Redis with the relay's own libraries; None: `openai` and `redis` it is
    threads   in which plain code handles deliveries at once; None: as its kind has it
    """

    host: Host
    openai: Any
    redis: Any
    send: Send
    settings: Mapping[str, Any]
    provider: Delivering | None = None
    threads: int | None = None
    own_clients: Callable[[], tuple[Any, Any]] | None = None


class Target(Protocol):
    """One life of a relay under test. A kind of target is a class, which is made from what the factory returned.

    Attributes:
        factory_returns: what a factory returns for this kind, as an error message lists it.
        gets_requests: whether a delivery is a provider's request, which may bring several messages, or else one message.
        serves: whether `serve` is to run from the life's start. A world with such a target ends when nothing happens any
            more, not when nothing is left to do.
        keeps_ledger: whether `outcome_of` may be asked.
    """

    factory_returns: ClassVar[str]

    gets_requests: ClassVar[bool]

    @property
    def serves(self) -> bool: ...

    @property
    def keeps_ledger(self) -> bool: ...

    @classmethod
    def drives(cls, made: Any) -> bool:
        """Whether what the factory returned is of this kind."""

    def __init__(self, made: Any, life: Life) -> None:
        """Begin the life. Tasks and events of its own belong to `life.host`.

        Raises:
            TargetError: it turns out not to be of this kind after all.
        """

    @property
    def promises(self) -> Promises:
        """What the relay promises.

        Raises:
            PromisesError: its declaration cannot be read.
        """

    async def serve(self) -> None:
        """Work without deliveries, for as long as the life lasts. What it raises ends this alone, and is logged."""

    def deliver(self, message: SentMessage, attempt: Attempt, further: Sequence[SentMessage] = ()) -> Awaitable[object]:
        """Hand a message over; returning acknowledges the delivery.

        Args:
            message: what is delivered.
            further: what else comes with it, in a request.
            attempt: which delivery of it this is.

        Returns:
            What the relay calls the message's outcome, see `outcome_name`; anything else says nothing.

        Raises:
            TargetError: the target cannot be driven; ends the run.
            Exception: the delivery is not acknowledged.
        """

    async def close(self) -> None:
        """End in order, as a process does that is told to; what is under way may be handed to others.

        Raises:
            Exception: it could not.
        """

    async def notify(self, request: HttpRequest) -> None:
        """Hand over what the provider tells of a text that was sent. Whoever gets no requests ignores it.

        Raises:
            Exception: it was not taken; the provider does not care.
        """

    async def take_event(self, request: HttpRequest, patience_seconds: float) -> int:
        """Hand over an event of the simulated API's, which waits so long; the status of the answer, 2xx if it was taken.

        Raises:
            TargetError: nothing there takes events; ends the run.
            Exception: it was not taken.
        """

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        """The message's outcome by the relay's ledger, None for none yet. Asked of a life that was begun for it.

        Raises:
            Exception: it could not be read now; it is asked again a few times.
        """
