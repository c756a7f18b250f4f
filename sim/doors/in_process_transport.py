"""Transports of the API in the process of a test: for plain code, and for a client that several workers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import httpx2

from relaysim.sim.doors.transport import SimTransport
from relaysim.sim.kernel import Host, current_host


class PlainTransport(httpx2.BaseTransport):
    """Lets plain code use a transport for coroutines."""

    def __init__(self, transport: SimTransport, wait_for: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._transport = transport
        self._wait_for = wait_for

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and let virtual time pass until its answer is there.

        Raises:
            httpx2.TransportError: as `SimTransport`.
        """
        __tracebackhide__ = True
        response: httpx2.Response = self._wait_for(self._transport.handle_async_request(request))
        if isinstance(response.stream, httpx2.SyncByteStream):
            return response
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        body = _PlainBody(response.stream, self._wait_for)
        return httpx2.Response(response.status_code, headers=response.headers, stream=body)


class _PlainBody(httpx2.SyncByteStream):
    """A body whose pieces come as virtual time passes."""

    def __init__(self, body: httpx2.AsyncByteStream, wait_for: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._body = body
        self._wait_for = wait_for

    def __iter__(self) -> Iterator[bytes]:
        __tracebackhide__ = True
        pieces = aiter(self._body)
        while True:
            piece: bytes | None = self._wait_for(_next(pieces))
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._wait_for(self._body.aclose())


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


class WorkersTransport(httpx2.AsyncBaseTransport):
    """Sends each request as the worker that awaits it."""

    def __init__(self, transport_of: Callable[[Host], SimTransport]) -> None:
        self._transport_of = transport_of
        self._transports: dict[str, SimTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = current_host()
        if not isinstance(host, Host):
            raise RuntimeError(
                "the simulation's async client is awaited outside `run`: give `run` the coroutine function"
            )
        transport = self._transports.get(host.name)
        if transport is None:
            transport = self._transports[host.name] = self._transport_of(host)
        return await transport.handle_async_request(request)
