"""An ASGI application, driven as a server drives it: its lifespan, and one request after another on a worker's host.

Written after the specification (version 3.0, HTTP 2.3) and what uvicorn does where that leaves room: an application that
knows no lifespan is served without; one that raises before its response begins is answered for with 500; what it sends
once nobody waits any more is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import copy_context
from typing import Any, Final
from urllib.parse import urlsplit

from relaysim.sim.kernel import Host, current_context
from relaysim.sim.providers import HttpRequest, HttpResponse

Message = MutableMapping[str, Any]
Application = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.3"}
_CLIENT: Final = ("203.0.113.7", 44321)


class StartupFailed(Exception):
    """The application said that it cannot start."""


class AsgiServer:
    """Serves one application on one host. Its start-up begins at once; requests wait for it.

    Args:
        application: what is served.
        host: where.
    """

    def __init__(self, application: Application, host: Host) -> None:
        self._application = application
        self._host = host
        self._state: dict[str, Any] = {}
        self._started: asyncio.Future[None] = host.loop.create_future()
        context = copy_context()
        context.run(current_context.set, "")
        host.spawn(self._live(), context=context)

    async def _live(self) -> None:
        """The application's lifespan; its end does not come, because a worker's does not announce itself."""
        never: asyncio.Future[Message] = self._host.loop.create_future()
        begun = False

        async def receive() -> Message:
            nonlocal begun
            if begun:
                return await never
            begun = True
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            if self._started.done():
                return
            if message["type"] == "lifespan.startup.complete":
                self._started.set_result(None)
            elif message["type"] == "lifespan.startup.failed":
                lines = str(message.get("message", "")).strip().splitlines()
                failed = StartupFailed(lines[-1] if lines else "the application's start-up failed")
                self._started.set_exception(failed)
                self._started.exception()  # whoever delivers is told

        scope = {"type": "lifespan", "asgi": _VERSIONS, "state": self._state}
        try:
            await self._application(scope, receive, send)
        except Exception as error:
            if self._started.done():
                if self._started.exception() is None:
                    raise
                failed = self._started.exception()
                assert failed is not None
                failed.__cause__ = error
        finally:
            if not self._started.done():
                self._started.set_result(None)

    async def respond(self, request: HttpRequest, patience_seconds: float) -> HttpResponse:
        """Hand a request to the application, and return its response once that is complete.

        The application's code goes on after it, as background work does.

        Args:
            request: what is asked.
            patience_seconds: after which the client has gone, which the application may learn from `receive`.

        Raises:
            StartupFailed: the application has not started.
            Exception: what the application raised in place of a response, or right after one with status 500 or more.
        """
        await asyncio.shield(self._started)
        exchange = _Exchange(request, self._host.loop.create_future(), self._host.loop.create_future())
        self._host.kernel.at(patience_seconds, exchange.leave)
        scope = {**_scope(request), "state": self._state.copy()}
        task = self._host.loop.create_task(_run(self._application, scope, exchange))
        await asyncio.wait({task, exchange.complete}, return_when=asyncio.FIRST_COMPLETED)
        exchange.leave()
        response = exchange.response
        if response is None or (response.status >= 500 and task.done()):
            await task  # which may raise: frameworks answer with 500, and raise again at once
            response = response or HttpResponse(500, {"content-type": "text/plain"}, b"Internal Server Error")
        return response


async def _run(application: Application, scope: Any, exchange: _Exchange) -> None:
    await application(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its response."""

    def __init__(self, request: HttpRequest, complete: asyncio.Future[None], gone: asyncio.Future[None]) -> None:
        self.complete = complete
        self.response: HttpResponse | None = None
        self._gone = gone
        self._body: bytes | None = request.body
        self._start: Message | None = None
        self._parts: list[bytes] = []

    def leave(self) -> None:
        """The client waits no longer."""
        if not self._gone.done():
            self._gone.set_result(None)

    async def receive(self) -> Message:
        """The whole body, and later that the client has gone."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a part of the response.

        Raises:
            RuntimeError: the parts come in another order than the specification has them.
        """
        if self.response is not None:
            return
        kind = message["type"]
        if self._start is None:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got '{kind}'.")
            self._start = message
            return
        if kind != "http.response.body":
            raise RuntimeError(f"Expected ASGI message 'http.response.body', but got '{kind}'.")
        self._parts.append(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            headers = {
                bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
                for name, value in self._start.get("headers", ())
            }
            self.response = HttpResponse(int(self._start["status"]), headers, b"".join(self._parts))
            if not self.complete.done():
                self.complete.set_result(None)


def _scope(request: HttpRequest) -> dict[str, Any]:
    url = urlsplit(request.url)
    headers = {**request.headers, "content-length": str(len(request.body))} if request.body else request.headers
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": request.path,
        "raw_path": url.path.encode("ascii"),
        "query_string": url.query.encode("ascii"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": _CLIENT,
        "server": (url.hostname, url.port or 443),
    }
