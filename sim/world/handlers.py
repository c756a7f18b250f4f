"""Targets that are objects with `handle(message)`, async or plain."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar

from relaysim.sim.providers import Attempt, HttpRequest
from relaysim.sim.threads import current_strand, in_thread, strand_of_plain_code, wait
from relaysim.sim.world.applications import interface_of
from relaysim.sim.world.judge.promises import Promises, declared_by
from relaysim.sim.world.target import Life, Send, SentMessage, TargetError, outcome_name


class Handler:
    """An object with `handle(message)`.

    It may have `serve()`, `outcome_of(conversation, message_id)`, `handle_webhook(payload, headers)` and `promises`. Each
    method is a coroutine function, or plain code, which runs in a thread of its own and may block.
    """

    factory_returns: ClassVar[str] = "an object with `def handle(self, message)`, plain or async"

    gets_requests: ClassVar[bool] = False

    __slots__ = ("_free", "_relay", "keeps_ledger", "serves")

    @classmethod
    def drives(cls, made: Any) -> bool:
        """Whether it has a `handle`, and is no web application, which may have one of its own, as Django's do."""
        return not isinstance(made, type) and callable(getattr(made, "handle", None)) and interface_of(made) is None

    def __init__(self, made: Any, life: Life) -> None:
        if _is_generator(made.handle):
            raise TargetError(
                f"{type(made).__name__}, whose `handle` has a `yield`: calling it runs nothing of it, and nobody takes what "
                "it would yield; send with `send`, and leave out the `yield`"
            )
        self._relay = made
        self._free = None if life.threads is None else asyncio.Semaphore(life.threads)
        self.serves = callable(getattr(made, "serve", None))
        self.keeps_ledger = callable(getattr(made, "outcome_of", None))

    @property
    def promises(self) -> Promises:
        """What the object's attribute `promises` declares."""
        return declared_by(self._relay)

    async def serve(self) -> None:
        """Run the object's `serve`."""
        await _result_of(self._relay.serve)

    def deliver(self, message: SentMessage, attempt: Attempt, further: Sequence[SentMessage] = ()) -> Awaitable[object]:
        """Call the object's `handle`, and wait for its end."""
        handle = self._relay.handle
        if inspect.iscoroutinefunction(handle):
            given: Awaitable[object] = handle(message)  # as it is: what stands in between would pass on its every step
            return given
        return self._deliver(handle, message)

    async def _deliver(self, handle: Callable[..., Any], message: SentMessage) -> object:
        async with nullcontext() if self._free is None or _is_async(handle) else self._free:
            return await _result_of(handle, message)

    async def close(self) -> None:
        """Await the object's `aclose`, if it has one."""
        if callable(getattr(self._relay, "aclose", None)):
            await _result_of(self._relay.aclose)

    async def notify(self, request: HttpRequest) -> None:
        """Do nothing: an object gets messages alone."""

    async def take_event(self, request: HttpRequest, patience_seconds: float) -> int:
        """Call the object's `handle_webhook` with the body and the headers; returning takes the event.

        Raises:
            TargetError: it has no such method.
            Exception: what it raised.
        """
        if not callable(getattr(self._relay, "handle_webhook", None)):
            raise TargetError(
                f"{type(self._relay).__name__} has no `handle_webhook(payload, headers)`, which events of the API go to: "
                "write one, or leave `[events]` out of the scenario"
            )
        await _result_of(self._relay.handle_webhook, request.body, request.headers)
        return 200

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


def _is_generator(function: Callable[..., Any]) -> bool:
    innermost = inspect.unwrap(function)
    return inspect.isasyncgenfunction(innermost) or inspect.isgeneratorfunction(innermost)


def sender_for_users(send: Send) -> Send:
    """`send` for code of the user's: a coroutine function, which in a thread that runs no event loop blocks instead."""

    @functools.wraps(send)
    def send_or_block(*args: Any, **kwargs: Any) -> Any:
        coroutine = send(*args, **kwargs)
        return coroutine if strand_of_plain_code() is None else wait(coroutine)

    return send_or_block
