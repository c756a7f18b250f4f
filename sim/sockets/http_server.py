"""HTTP/1.1 at a service's end of a connection, spoken by h11: keep-alive, chunks, `Expect: 100-continue`, refusals."""

from __future__ import annotations

from asyncio import CancelledError, Task
from asyncio.tasks import _unregister_task
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextvars import copy_context
from http import HTTPStatus
from types import CoroutineType
from typing import Final

import h11

from relaysim.sim.sockets.connection import Connection
from relaysim.sim.sockets.http_messages import BrokenConnectionError, HttpRequest, HttpResponse, HttpService

_BAD_REQUEST: Final = b"Invalid HTTP request received."

HEADERS_BYTES_MAX: Final = 65_536
"""How long the head of a request may be; servers refuse longer ones with 431."""


class HttpServer:
    """Lets a service that answers requests take connections."""

    def __init__(self, service: HttpService) -> None:
        self._service = service

    async def connect(self, connection: Connection) -> HttpSession:
        """Take a connection, at once."""
        return HttpSession(connection, self._service)


class HttpSession:
    """The service's end of one connection."""

    def __init__(self, connection: Connection, service: HttpService) -> None:
        self._connection = connection
        self._service = service
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADERS_BYTES_MAX)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._asked: HttpRequest
        self._answering: Task[None] | None = None

    # What the client sends

    def receive(self, data: bytes) -> None:
        """Take bytes, and answer the requests that are whole by now, one after the other."""
        self._take(data)

    def client_finished(self) -> None:
        """No further request comes."""
        self._take(b"")

    def client_closed(self, *, cancelled: bool) -> None:
        """Nobody waits for the answer any more."""
        if self._answering is None:
            return
        for callback in self._asked.when_left:
            callback(cancelled)
        self._answering.cancel()

    def _take(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
        except RuntimeError:  # bytes after the end of what it understood: it has closed the connection, or will
            return
        self._go_on()

    def _go_on(self) -> None:
        try:
            while self._answering is None and self._next_event():
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _next_event(self) -> bool:
        """Take what comes next in the bytes that are there; whether anything did that more may follow."""
        event = self._http.next_event()
        if event is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            return False
        if event is h11.PAUSED:
            return False
        if isinstance(event, h11.Request):
            self._head = event
            self._body.clear()
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self._begin()
        elif isinstance(event, h11.ConnectionClosed):
            self._connection.finish()
            return False
        return True

    # What it answers

    def _begin(self) -> None:
        """A request is whole: ask the service, at this instant."""
        assert self._head is not None
        worker = self._connection.host
        if worker.loop.is_closed():  # where nobody will read the answer; what is asked for is done all the same
            worker = worker.process
        request = HttpRequest(
            self._head.method.decode("ascii"),
            self._head.target.decode("ascii"),
            _joined(self._head.headers),
            bytes(self._body),
            self._connection.name,
            self._connection.remote[1],
            worker,
        )
        self._asked = request
        answer = self._service.answer(request)
        self._answering = worker.spawn(self._answer(request, answer), context=copy_context())
        if isinstance(answer, CoroutineType):  # a task that is cancelled before it has begun awaits nothing
            self._answering.add_done_callback(lambda _: answer.close())
        # A server's, of which `asyncio.all_tasks` in the client's process knows nothing.
        _unregister_task(self._answering)

    async def _answer(self, request: HttpRequest, answer: Awaitable[HttpResponse]) -> None:
        try:
            response = await answer
            await self._respond(request, response)
        except BrokenConnectionError as broken:
            self._break(broken)
            return
        except CancelledError:  # the client has closed the connection
            return
        except Exception as error:  # no client's mistake: services answer mistakes
            self._connection.host.kernel.fail(error)
            return
        self._answering = None
        if self._http.our_state is h11.MUST_CLOSE:
            self._connection.finish()
        elif self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
            self._go_on()

    async def _respond(self, request: HttpRequest, response: HttpResponse) -> None:
        headers = [(name.lower(), value) for name, value in response.headers.items()]
        body = response.body
        if isinstance(body, bytes) and not any(name in ("content-length", "transfer-encoding") for name, _ in headers):
            headers.append(("content-length", str(len(body))))
        head = h11.Response(status_code=response.status, headers=headers, reason=_reason(response.status))
        if isinstance(body, bytes):
            self._send(head, *([h11.Data(data=body)] if body and request.method != "HEAD" else []), h11.EndOfMessage())
            return
        self._send(head)
        if request.method != "HEAD":
            await self._send_pieces(body)
        self._send(h11.EndOfMessage())

    async def _send_pieces(self, pieces: AsyncIterator[bytes]) -> None:
        try:
            async for piece in pieces:
                if piece:
                    self._send(h11.Data(data=piece))
        finally:
            close = getattr(pieces, "aclose", None)  # of an asynchronous generator
            if close is not None:
                await close()

    def _send(self, *events: h11.Event) -> None:
        """Send events in one piece, as a server does that writes a small answer at once."""
        sent = [self._http.send(event) for event in events]
        self._connection.deliver(b"".join(data for data in sent if data))

    def _break(self, broken: BrokenConnectionError) -> None:
        self._http.send_failed()
        if broken.reset:
            self._connection.reset()
        else:
            self._connection.finish()

    def _refuse(self, status: int) -> None:
        """What came is no HTTP: say so as servers do, and close."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
            headers.append(("content-length", str(len(_BAD_REQUEST))))
            head = h11.Response(status_code=status, headers=headers, reason=_reason(status))
            self._send(head, h11.Data(data=_BAD_REQUEST), h11.EndOfMessage())
        self._connection.finish()


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
