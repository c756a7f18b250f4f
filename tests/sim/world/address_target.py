"""A kind of target for tests: a program behind an address, which takes a delivery as a body and headers over a link."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

from relaysim.sim.providers import Attempt, HttpRequest
from relaysim.sim.world import resolve
from relaysim.sim.world.judge.promises import Promises, declared_by
from relaysim.sim.world.target import Life, SentMessage

LINK_SECONDS = 1 / 1024


class Address(NamedTuple):
    """What a factory returns for it: who answers at the address with an HTTP status, and what is promised there."""

    endpoint: Callable[[bytes, Mapping[str, str]], Coroutine[Any, Any, int]]
    promises: Mapping[str, Any] | None


class BehindAddress:
    """Each delivery is a request to the endpoint; an answer of 200 acknowledges it."""

    factory_returns: ClassVar[str] = "an `Address`"
    gets_requests: ClassVar[bool] = False
    serves = False
    keeps_ledger = False

    @classmethod
    def drives(cls, made: Any) -> bool:
        return type(made).__name__ == Address.__name__  # each life of a worker has a class of its own

    def __init__(self, made: Address, life: Life) -> None:
        self._address, self._host = made, life.host

    @property
    def promises(self) -> Promises:
        return declared_by(self._address)

    async def serve(self) -> None: ...

    async def notify(self, request: HttpRequest) -> None: ...

    async def outcome_of(self, conversation: str, message_id: str) -> str | None: ...

    async def deliver(self, message: SentMessage, attempt: Attempt, further: Sequence[SentMessage] = ()) -> str | None:
        fields = ("id", "conversation", "text", "thread_id")
        body = json.dumps({name: getattr(message, name) for name in fields}).encode()
        answer: asyncio.Future[int] = self._host.loop.create_future()
        context, at = copy_context(), self._host.kernel.at

        async def request() -> None:
            status = await self._address.endpoint(body, {"content-type": "application/json"})
            at(LINK_SECONDS, answer.set_result, status)

        at(LINK_SECONDS, lambda: self._host.spawn(request(), context=context))
        status = await answer
        if status != 200:
            raise ConnectionError(f"the program answered {status}")
        return None


def program(*clients: Any, bot: str, **settings: Any) -> Address:
    """The bot of a factory, behind an address."""
    made = resolve(bot)(*clients, **settings)

    async def endpoint(body: bytes, headers: Mapping[str, str]) -> int:
        assert headers["content-type"] == "application/json"
        try:
            await made.handle(SimpleNamespace(**json.loads(body)))
        except Exception:
            return 500
        return 200

    return Address(endpoint, getattr(made, "promises", None))
