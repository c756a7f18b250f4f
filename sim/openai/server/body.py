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


async def read_body(receive: Receive, first: Message, headers: Iterable[tuple[bytes, bytes]], bytes_max: int) -> bytes:
    """The rest of a body whose first message was received already.

    Raises:
        BodyTooLargeError: it is larger than `bytes_max`.
        ClientGoneError: it never ended.
    """
    given = dict(headers)
    message, parts, size = first, [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        more = message.get("more_body", False)
        if size > bytes_max or (more and _declared(given) > bytes_max):
            raise BodyTooLargeError(drained=not more or await _drain(receive, waits=b"expect" in given))
        parts.append(part)
        if not more:
            return b"".join(parts)
        message = await receive()


def _declared(headers: dict[bytes, bytes]) -> int:
    written = headers.get(b"content-length", b"")
    return int(written) if written.isdigit() else 0


async def _drain(receive: Receive, *, waits: bool) -> bool:
    """Throw away what follows, for a while; whether that was all of it."""
    if waits:
        return False  # the client asked first (Expect: 100-continue), and sends nothing if it is refused
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
