"""HTTP as a simulated service meets it: whole requests in, answers out. How they travel is `http_server`'s business."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from relaysim.sim.kernel import Host


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that has arrived whole.

    Attributes:
        method: in upper case.
        target: path with its query, percent-encoded, as it was sent: `/v1/threads?limit=2`.
        headers: names in lower case; of a repeated header the values, separated by `, `.
        body: its bytes, without any transfer encoding; empty if there is none.
        host, port: the address at which it arrived, the name in lower case: `api.openai.com`, 443.
        worker: the host that waits for the answer; its `name` is the worker's.
        when_left: called, just before the service's task is cancelled, when the client closes the connection without a whole
            answer: with whether the work for which it asked was cancelled, and not the client itself gave up.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    host: str
    port: int
    worker: Host
    when_left: list[Callable[[bool], object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer.

    Attributes:
        status: 200 to 599.
        body: all of it, or its pieces as they become ready, which are then sent in chunks. Pieces may end in a
            `BrokenConnectionError`.
        headers: further ones. The length of a whole body need not be said.
    """

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class BrokenConnectionError(Exception):
    """Raised by a service in place of an answer, or by the pieces of a body: the connection ends here.

    Args:
        reset: it is reset, else it is closed as if the message had ended.
    """

    def __init__(self, *, reset: bool = True) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


@runtime_checkable
class HttpService(Protocol):
    """What stands at an address and speaks HTTP. An object with `async def answer(self, request)` is one."""

    def answer(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        """Answer a request.

        Called by the code that sends the request, at that instant; what it returns is awaited as a task of
        `request.worker`, in the context of that code, so that `current_context` says for which delivery it is. Time that is
        to pass on the way is awaited here. A client that gives up closes its connection, which cancels the task; what must
        happen all the same is for the kernel's events. A service that never returns is one that keeps silent.

        Raises:
            BrokenConnectionError: in place of an answer.
        """
        ...
