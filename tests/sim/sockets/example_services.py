"""Services of the tests' own behind addresses, for clients of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from relaysim.sim.kernel import current_context
from relaysim.sim.sockets import Addresses, BrokenConnectionError, Connection, HttpRequest, HttpResponse


class Echo:
    """Sends every piece back, two seconds later, and says goodbye when the client has finished."""

    def __init__(self) -> None:
        self.closed: list[bool] = []

    async def connect(self, connection: Connection) -> Echo:
        self.connection, self.kernel = connection, connection.host.kernel
        return self

    def receive(self, data: bytes) -> None:
        self.kernel.at(2.0, self.connection.deliver, data)

    def client_finished(self) -> None:
        self.connection.deliver(b"goodbye")
        self.connection.finish()

    def client_closed(self, *, cancelled: bool) -> None:
        self.closed.append(cancelled)


class Shop:
    """Answers HTTP requests after half a second; what it was asked is in `asked`."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def answer(self, request: HttpRequest) -> HttpResponse:
        self.asked.append((request.method, request.target, request.body, current_context.get()))
        await asyncio.sleep(0.5)
        if request.target == "/stream":
            return HttpResponse(200, _pieces(), {"content-type": "text/event-stream"})
        if request.target == "/cut":
            return HttpResponse(200, _cut(), {"content-length": "100"})
        if request.target == "/reset":
            raise BrokenConnectionError
        if request.target == "/silent":
            await asyncio.get_running_loop().create_future()
        return HttpResponse(201, b'{"paid": true}', {"Content-Type": "application/json", "x-host": request.host})


async def _pieces() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"data: %d\n\n" % number
        await asyncio.sleep(1.0)


async def _cut() -> AsyncIterator[bytes]:
    yield b"half"
    raise BrokenConnectionError(reset=False)


def make_addresses() -> Addresses:
    made = Addresses()
    made.register("echo.example", 7, Echo())
    made.register("shop.example", None, Shop())
    return made
