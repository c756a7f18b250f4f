"""Where programs send texts: the provider's paths, on the port of the simulated API.

A program that calls `https://graph.facebook.com/v21.0/...` in production calls `http://127.0.0.1:PORT/_provider/v21.0/...`
here: whatever it reads the provider's address from is set to the latter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from relaysim.sim.doors.server.body import BodyTooLargeError, ClientGoneError, read_body
from relaysim.sim.doors.server.delivery import Exchange, Receive, Rendered, Scope, Send, send_whole
from relaysim.sim.doors.server.pacer import Pacer
from relaysim.sim.providers import HttpRequest, HttpResponse, Provider
from relaysim.sim.world.provider_service import without_framing

PROVIDER_PREFIX: Final = "/_provider"
_BODY_MAX: Final = 4 * 1024 * 1024

Answering = Callable[[HttpRequest, str], Awaitable[HttpResponse | None]]
"""Answers a request of a worker, by its name; None: the connection ends without an answer."""


class ProviderDoor:
    """Reads requests to the provider, and writes what is answered.

    Args:
        provider: whose paths these are.
        answer: answers them.
        client_of: which worker a request is from.
        pacer: the world's.
    """

    def __init__(self, provider: Provider, answer: Answering, client_of: Callable[[Scope], str], pacer: Pacer) -> None:
        self._pacer = pacer
        self._host = next(iter(provider.sending_hosts), "provider.example.com")
        self._answer = answer
        self._client_of = client_of

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            body = await read_body(receive, scope["headers"], _BODY_MAX)
        except ClientGoneError:
            return
        except BodyTooLargeError:
            await send_whole(scope, send, Rendered(413, {"content-length": "0", "connection": "close"}, b""))
            return
        response = await self._answer(self._request(scope, body), self._client_of(scope))
        if response is None:
            # Without a head: many clients do not read the body, and would take the text for sent.
            await Exchange(scope, receive, send, self._pacer).finish()
            return
        headers = {**without_framing(response.headers), "content-length": str(len(response.body))}
        await send_whole(scope, send, Rendered(response.status, headers, response.body))

    def _request(self, scope: Scope, body: bytes) -> HttpRequest:
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.decode("latin-1").removeprefix(PROVIDER_PREFIX)
        query = scope["query_string"].decode("latin-1")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        url = f"https://{self._host}{path}{'?' if query else ''}{query}"
        return HttpRequest(scope["method"], url, {**headers, "host": self._host}, body)
