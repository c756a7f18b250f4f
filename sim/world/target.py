"""The target: what a world drives. One kind ships, `Handler`: an object with `handle`, async or plain, made by a factory.

A worker has one target per life. It is started on the worker's host with a `Life`, is handed deliveries, may serve in the
background, declares what it promises, and is asked for its ledger at the world's end. Workers, webhooks, the world and
the audit know nothing else of it, so a further kind (an application, a program behind an address) is a class
with the members of `Target` and its line in `KINDS`. What a scenario's factory returns decides which kind it is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from relaysim.sim.kernel import Host, SimulatorError
from relaysim.sim.threads import current_strand, in_thread, wait
from relaysim.sim.world.judge.promises import Promises, declared_by


class SentMessage:
    """A customer's message, as a target receives it.

    Attributes:
        id: unique in the world, e.g. `c1.m2`.
        conversation: whose chat it belongs to, e.g. `c1`; what `send` takes.
        text: what the customer wrote.
        thread_id: the conversation's thread, which exists from the start.
        sent_at: when the customer wrote it, in seconds since the Unix epoch: webhooks may come in another order.
    """

    __slots__ = ("conversation", "id", "sent_at", "text", "thread_id", "tries")

    def __init__(
        self, message_id: str, conversation: str, text: str, thread_id: str, tries: int, sent_at: float = 0.0
    ) -> None:
        self.id = message_id
        self.conversation = conversation
        self.text = text
        self.thread_id = thread_id
        self.tries = tries
        self.sent_at = sent_at

    def __repr__(self) -> str:
        return f"SentMessage(id={self.id!r}, conversation={self.conversation!r}, text={self.text!r})"


class Send(Protocol):
    """What a target is given to send a text with."""

    def __call__(
        self, conversation: str, text: str, *, message_ids: Sequence[str] = ()
    ) -> Coroutine[Any, Any, None]: ...


class TargetError(SimulatorError, ValueError):
    """What the factory returned cannot be driven; the message says why and what can be."""


class Life(NamedTuple):
    """Where one life of a worker takes place, and what reaches the simulated services from there.

    host      its process; whatever the target does runs on it, and ends without any notice when the host crashes
    openai    a client of the simulated API
    redis     a client of the simulated Redis
    send      sends a text to a customer
    settings  the relay's, with those of the worker's group on top
    """

    host: Host
    openai: Any
    redis: Any
    send: Send
    settings: Mapping[str, Any]


class Target(Protocol):
    """One life of a relay under test. A kind of target is a class, which is made from what the factory returned.

    Attributes:
        factory_returns: what a factory returns for this kind, as an error message lists it.
        serves: whether `serve` is to run from the life's start. A world with such a target ends when nothing happens any
            more, not when nothing is left to do.
        keeps_ledger: whether `outcome_of` may be asked.
    """

    factory_returns: ClassVar[str]

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

    async def deliver(self, message: SentMessage) -> str | None:
        """Hand a message over; returning acknowledges the delivery.

        Returns:
            What the relay calls the message's outcome, None if it says nothing.

        Raises:
            TargetError: the target cannot be driven; ends the run.
            Exception: the delivery is not acknowledged.
        """

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        """The message's outcome by the relay's ledger, None for none yet. Asked of a life that was begun for it.

        Raises:
            Exception: it could not be read now; it is asked again a few times.
        """


class Handler:
    """An object with `handle(message)`.

    It may have `serve()`, `outcome_of(conversation, message_id)` and `promises`. Each method is a coroutine function, or
    plain code, which runs in a thread of its own and may block.
    """

    factory_returns: ClassVar[str] = "an object with `def handle(self, message)`, plain or async"

    __slots__ = ("_relay", "keeps_ledger", "serves")

    @classmethod
    def drives(cls, made: Any) -> bool:
        """Whether it has a `handle`."""
        return not isinstance(made, type) and callable(getattr(made, "handle", None))

    def __init__(self, made: Any, life: Life) -> None:
        self._relay = made
        self.serves = callable(getattr(made, "serve", None))
        self.keeps_ledger = callable(getattr(made, "outcome_of", None))

    @property
    def promises(self) -> Promises:
        """What the object's attribute `promises` declares."""
        return declared_by(self._relay)

    async def serve(self) -> None:
        """Run the object's `serve`."""
        await _result_of(self._relay.serve)

    async def deliver(self, message: SentMessage) -> str | None:
        """Call the object's `handle`, and wait for its end."""
        return outcome_name(await _result_of(self._relay.handle, message))

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        """Ask the object's `outcome_of`."""
        return outcome_name(await _result_of(self._relay.outcome_of, conversation, message_id))


async def _result_of(method: Callable[..., Any], *args: Any) -> Any:
    """Plain code runs in a thread; what that returns is awaited if it can be."""
    if current_strand() is None or _is_async(method):
        given = method(*args)
    else:
        given = await in_thread(method, *args)
    return await given if inspect.isawaitable(given) else given


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine, also through decorators that say what they wrap."""
    innermost = inspect.unwrap(function)
    called = getattr(innermost, "__call__", None)  # noqa: B004 - an object that is called like a function
    return inspect.iscoroutinefunction(innermost) or inspect.iscoroutinefunction(called)


def sender_for_users(send: Send) -> Send:
    """`send` for code of the user's: a coroutine function, which in a thread that runs no event loop blocks instead."""

    @functools.wraps(send)
    def send_or_block(*args: Any, **kwargs: Any) -> Any:
        strand = current_strand()
        coroutine = send(*args, **kwargs)
        return coroutine if strand is None or strand.loop is not None else wait(coroutine)

    return send_or_block


KINDS: Final[list[type[Target]]] = [Handler]
"""All kinds of targets; the first that drives what a factory returned takes it."""


def start_target(name: str, factory: Callable[..., Any], life: Life) -> Target:
    """Begin a life: call the factory, and pick the kind of target that drives what it returns.

    Args:
        name: the factory's, as the scenario has it.
        factory: called with the OpenAI client, the Redis client, the send coroutine, and the settings by name.
        life: where, and with what.

    Raises:
        TargetError: no kind of target drives it; names what it is and what can be driven.
        Exception: what the factory raises.
    """
    try:
        made = factory(life.openai, life.redis, life.send, **life.settings)
    except Exception as error:
        if _application(factory) is None:
            raise
        raise _refusal(name, factory, None) from error
    for kind in KINDS:
        if kind.drives(made):
            return kind(made, life)
    raise _refusal(name, factory, made)


def outcome_name(result: Any) -> str | None:
    """What a relay calls the outcome that it returned: of an `Outcome`, of an object that has one, or of a text."""
    outcome = getattr(result, "outcome", result)
    value = getattr(outcome, "value", outcome)
    return value if isinstance(value, str) else None


def _refusal(name: str, factory: Callable[..., Any], made: Any) -> TargetError:
    gave = _described(made)
    application = _application(factory)
    problem = f"{name} gave {gave}" if application is None else f"{name} is {application} and no factory"
    return TargetError(f"{problem}; return {' or '.join(kind.factory_returns for kind in KINDS)}")


def _described(made: Any) -> str:
    """What an error message calls that which no kind of target drives."""
    if inspect.iscoroutine(made):
        made.close()  # or Python warns that nobody awaited it
        return "a coroutine: write the factory itself as plain `def`"
    if isinstance(made, type):
        return f"the class {made.__name__} and no object of it"
    if isinstance(made, str):
        return f"a text, {made!r}"
    return _application(made) or f"{type(made).__name__}, which has no `handle`"


_APPLICATIONS: Final[Mapping[tuple[str, ...], str]] = {
    ("environ", "start_response"): "a WSGI application",
    ("scope", "receive"): "an ASGI application",
}
"""Kinds of web applications by what they call their first two parameters, as their specifications do."""


def _application(entry: Any) -> str | None:
    try:
        parameters = tuple(inspect.signature(entry).parameters)
    except (TypeError, ValueError):
        return None
    return _APPLICATIONS.get(parameters[:2])
