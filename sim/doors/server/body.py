"""Reading a request's body, up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

DRAIN_SECONDS: Final = 2.0
"""For how long the rest of a body that is too large is read and thrown away, so that its sender gets to read the answer."""


class BodyTooLargeError(Exception):
    """The body is larger than the limit.

    Attributes:
        drained: all of it was read, so the connection can go on.
    """

    def __init__(self, *, drained: bool) -> None:
        super().__init__("the request's body is too large")
        self.drained = drained


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


async def read_body(receive: Receive, headers: Iterable[tuple[bytes, bytes]], bytes_max: int) -> bytes:
    """A request's body.

    Raises:
        BodyTooLargeError: it is larger than `bytes_max`, or says that it is.
        ClientGoneError: it never ended.
    """
    announced, asks = 0, False
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            announced = int(value)
        elif name == b"expect":
            asks = True
    if announced > bytes_max:
        # A client that asks first (Expect: 100-continue) sends nothing if it is refused.
        raise BodyTooLargeError(drained=not asks and await _drain(receive))
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        size += len(part)
        if size > bytes_max:
            raise BodyTooLargeError(drained=not more or await _drain(receive))
        parts.append(part)
        if not more:
            return b"".join(parts)


async def _drain(receive: Receive) -> bool:
    """Throw away what follows, for a while; whether that was all of it."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return False
                if not message.get("more_body", False):
                    return True
    except TimeoutError:
        return False
