"""Targets that are web applications, which get a provider's webhooks: ASGI and WSGI.

Nothing of them is adapted. A webhook is a request of the scenario's provider, an answer that acknowledges it ends the
delivery, and what the application starts before that goes on.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Literal

from relaysim.sim.kernel import current_context
from relaysim.sim.providers import Attempt, CustomerMessage, HttpRequest, HttpResponse, Text
from relaysim.sim.threads import in_thread
from relaysim.sim.world import wsgi
from relaysim.sim.world.asgi import AsgiServer
from relaysim.sim.world.call_shapes import first_parameters
from relaysim.sim.world.judge.promises import Promises, declared_by
from relaysim.sim.world.logs import logged_error
from relaysim.sim.world.send_faults import SendRefused
from relaysim.sim.world.target import Delivering, Life, NotAcknowledged, SentMessage, TargetError

Interface = Literal["ASGI", "WSGI"]

_PARAMETERS: Final[dict[tuple[str, ...], Interface]] = {
    ("environ", "start_response"): "WSGI",
    ("scope", "receive"): "ASGI",
}
"""Interfaces by what they call their first two parameters, as their specifications do."""


def interface_of(entry: Any) -> Interface | None:
    """Which interface of web applications something has; None: neither."""
    return _PARAMETERS.get(first_parameters(entry, 2))


class Application:
    """What both kinds have in common."""

    factory_returns: ClassVar[str]
    interface: ClassVar[Interface]
    gets_requests: ClassVar[bool] = True
    serves = False
    keeps_ledger = False

    __slots__ = ("_application", "_life", "_service")

    @classmethod
    def drives(cls, made: Any) -> bool:
        """Whether it is called as such an application is."""
        return interface_of(made) == cls.interface

    def __init__(self, made: Any, life: Life) -> None:
        if life.provider is None:
            raise TargetError(
                f"{self.factory_returns}, and nobody delivers webhooks to it: name their provider, --provider KIND or "
                '[provider] kind = "..."'
            )
        self._application = made
        self._life = life
        self._service: Delivering = life.provider

    @property
    def promises(self) -> Promises:
        """What the application's attribute `promises` declares."""
        return declared_by(self._application)

    async def serve(self) -> None:
        """Do nothing: whatever an application does by itself it begins when it is loaded, or started."""

    async def outcome_of(self, conversation: str, message_id: str) -> str | None:
        """Nothing: an application has no ledger."""
        return None

    async def deliver(self, message: SentMessage, attempt: Attempt, further: Sequence[SentMessage] = ()) -> str | None:
        """Let the provider's webhook be handled.

        Raises:
            NotAcknowledged: the response does not acknowledge it.
            Exception: what the application raised, also where its framework has logged that and answered with an error.
        """
        provider, kernel = self._service.provider, self._life.host.kernel
        known = [
            CustomerMessage(each.id, each.conversation, each.text, each.sent_at or 0.0, each.number)
            for each in (message, *further)
        ]
        begun = kernel.now
        response = await self.respond(provider.webhook(known, attempt), provider.deadline_seconds)
        if not provider.acknowledges(response):
            logged = logged_error(current_context.get())
            if response.status >= 500 and logged is not None:
                raise logged
            is_final = provider.is_final(response)
            raise NotAcknowledged(response.status, provider.path, is_final=is_final, body=response.body)
        if kernel.now - begun < provider.deadline_seconds:  # else nobody reads it any more
            for text in provider.replies(response, known[0]):
                self._life.host.spawn(self._pass_on(text))
        return None

    async def close(self) -> None:
        """Do nothing: what a server does with an application that ends is not simulated."""

    async def notify(self, request: HttpRequest) -> None:
        """Let the application handle it; its response says nothing to anybody.

        Raises:
            Exception: what the application raised.
        """
        await self.respond(request, self._service.provider.deadline_seconds)

    async def take_event(self, request: HttpRequest, patience_seconds: float) -> int:
        """The status of the application's response.

        Raises:
            Exception: what the application raised.
        """
        return (await self.respond(request, patience_seconds)).status

    async def _pass_on(self, text: Text) -> None:
        """Send what a response asks for; what becomes of it the application does not learn."""
        with suppress(SendRefused, TimeoutError):
            await self._service.send(text, self._life.host)

    @abstractmethod
    async def respond(self, request: HttpRequest, patience_seconds: float) -> HttpResponse:
        """The application's response to a request, whose client waits so long for it."""


class AsgiApplication(Application):
    """An ASGI application: its requests share the worker's event loop."""

    factory_returns = "an ASGI application"
    interface = "ASGI"

    __slots__ = ("_server",)

    def __init__(self, made: Any, life: Life) -> None:
        super().__init__(made, life)
        self._server = AsgiServer(made, life.host)

    async def respond(self, request: HttpRequest, patience_seconds: float) -> HttpResponse:
        """Its code may go on after the response is complete."""
        return await self._server.respond(request, patience_seconds)


class WsgiApplication(Application):
    """A WSGI application: each request has a thread while it is handled, of which a worker has `threads`, by default one."""

    factory_returns = "a WSGI application"
    interface = "WSGI"

    __slots__ = ("_free", "_threads")

    def __init__(self, made: Any, life: Life) -> None:
        super().__init__(made, life)
        self._threads = life.threads or 1
        self._free = asyncio.Semaphore(self._threads)

    async def respond(self, request: HttpRequest, patience_seconds: float) -> HttpResponse:
        """Requests beyond the number of threads wait in the order in which they came, as in a server's backlog."""
        async with self._free:
            return await in_thread(wsgi.respond, self._application, request, self._threads > 1)
