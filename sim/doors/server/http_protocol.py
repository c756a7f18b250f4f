"""uvicorn's HTTP protocol with limits, and with a way from a request to its connection.

Four things differ from uvicorn's own `HttpToolsProtocol`:

- whatever is refused here (a request that is no HTTP, a head that is too long, one connection too many) is answered with an
  error body as the API writes them, and the connection then stays half open for a moment, so that a client that is still
  writing reads the answer instead of a reset;
- a request's scope has the extension `relaysim.connection`, the `Connection` under it, by which faults reach the wire;
- a connection knows whether it is idle, and can be reset;
- an answer that is there whole leaves in one write, and an application that can answer at once does so without a task.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from relaysim.sim.backends.errors import ApiError
from relaysim.sim.backends.wire import error_response, request_id_header
from relaysim.sim.doors.server import CONTROL_PREFIX, HEALTH_PATH
from relaysim.sim.doors.server.delivery import EXTENSION

HEAD_BYTES_MAX: Final = 64 * 1024
"""The longest request line with headers, in bytes."""

CONNECTIONS_MAX: Final = 1000

AnswerNow = Callable[[Any, bytes, "Connection"], bool]
"""What an application may offer as `answer_now(scope, body, connection)`: see `SimulatedServer.answer_now`."""

_HELD_BYTES_MAX: Final = 32 * 1024  # uvicorn stops reading at 64 KiB, until its application asks for more
_LINGER_SECONDS: Final = 1.0
_EXCESS_SECONDS: Final = 5.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_ALWAYS_LET_IN: Final = (CONTROL_PREFIX.encode(), HEALTH_PATH.encode())


def head_too_long() -> ApiError:
    """The request line and the headers are longer than the server reads."""
    return ApiError(431, f"The request line and headers are larger than {HEAD_BYTES_MAX} bytes.")


def no_http() -> ApiError:
    """What arrived is no HTTP request."""
    return ApiError(400, "What was sent is not an HTTP request.")


def too_slow() -> ApiError:
    """A request that was begun long ago and is not complete."""
    return ApiError(408, "The request was not complete in time.")


def too_many_connections(connections_max: int) -> ApiError:
    """More connections than the server takes (`--connections-max`)."""
    return ApiError(
        503,
        f"The simulator has {connections_max} connections already, which is its limit.",
        type="server_error",
        code="too_many_connections",
        headers={"retry-after": "1"},
    )


class Connections(ServerState):
    """What all connections of a listener share: uvicorn's own state, and the limit.

    Args:
        connections_max: how many are served at once. Beyond it a connection is told so, except on the paths of the control
            API; beyond twice as many, it is reset at once.
    """

    def __init__(self, connections_max: int) -> None:
        super().__init__()
        self.connections_max = connections_max


class Connection(HttpToolsProtocol):
    """One connection of a client. Made by a `Listener`.

    Attributes:
        controlling: its newest request was for the control API, or for the server's health.
        reading_since: when the request began that is not complete yet, on the loop's clock; None: there is none.
        answered: when it was last answered in one write, or else made, on the loop's clock.
    """

    server_state: Connections

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._extensions = {EXTENSION: self}
        self._excess = False
        self.controlling = False
        self.answered = self.loop.time()
        self._in_head = False
        self.reading_since: float | None = None
        self._between = True  # one request is complete and the next has not begun
        self._chunk = 0
        self._head_bytes = 0  # fed since the chunk in which the head began, that chunk included
        self._before_head = 0  # at most so many of them came before the head
        self._refusal: ApiError | None = None
        self._discarding = False
        self._deadline: asyncio.TimerHandle | None = None
        self._answer_now: AnswerNow | None = getattr(config.app, "answer_now", None)
        self._held: RequestResponseCycle | None = None

    # What the rest of the server asks of a connection

    @property
    def idle(self) -> bool:
        """Whether it is open and carries no request at the moment."""
        return not self._in_head and (self.cycle is None or self.cycle.response_complete)

    @property
    def gone(self) -> bool:
        """Whether it is closed, or about to be."""
        return self.transport.is_closing()

    def reset(self) -> None:
        """Reset the connection: the client sees ECONNRESET, and what was not sent is lost."""
        if not self.transport.is_closing():
            connected: socket.socket = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def give_up(self) -> None:
        """Wait no longer for the rest of a request."""
        self.reading_since = None
        self._refuse(too_slow())

    def close(self) -> None:
        """Close the connection in order, once everything that was written is sent."""
        self.transport.close()

    def respond(self, scope: Any, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Answer a request whole, in one write.

        uvicorn writes head and body one after the other, and checks every header that its application made; half of the
        cost of a small answer is that. The headers here are the simulator's own, or checked when a fault was read.

        Args:
            scope: the request's.
            status: HTTP status.
            headers: with `content-length`; names in lower case.
            body: all of it.

        Returns:
            False if it must go through uvicorn, for instance because another request has arrived behind it: nothing was
            written then.
        """
        cycle = self.cycle
        if cycle.scope is not scope or cycle.response_started or cycle.disconnected:
            return False
        if self.flow.write_paused or scope["method"] == "HEAD":
            return False
        lines = [STATUS_LINE[status].decode("latin-1")]
        for name, value in headers.items():
            lines.append(f"{name}: {value}\r\n")
        if headers.get("connection") == "close":
            cycle.keep_alive = False
        elif not cycle.keep_alive:
            lines.append("connection: close\r\n")
        lines.append("\r\n")
        self.transport.write("".join(lines).encode("latin-1") + body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        # What uvicorn does then, without a timer per answer (the listener looks for idle connections) and without a look
        # at the pipeline: nothing has arrived behind this request.
        self.server_state.total_requests += 1
        self.answered = self.loop.time()
        self.flow.resume_reading()
        return True

    # What uvicorn and asyncio call

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        count, most = len(self.connections), self.server_state.connections_max
        if count > 2 * most + 8:
            self.reset()
        elif count > most:
            self._excess = True
            self._deadline = self.loop.call_later(_EXCESS_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        self._unset_keepalive_if_required()
        self._chunk = len(data)
        if self._between:
            self._head_bytes = self._before_head = 0
        self._head_bytes += self._chunk
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered as the ordinary request that it also is
        except httptools.HttpParserError:
            self._refuse(self._refusal or no_http())
        else:
            if self._in_head and self._head_bytes - self._before_head > HEAD_BYTES_MAX:
                self._refuse(head_too_long())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]
        self._in_head, self._between = True, False
        self.reading_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_bytes > HEAD_BYTES_MAX and self._exact_head_bytes() > HEAD_BYTES_MAX:
            self._stop_parsing(head_too_long())
        self.controlling = self.url.startswith(_ALWAYS_LET_IN)
        if self._excess and not self.controlling:
            self._stop_parsing(too_many_connections(self.server_state.connections_max))
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # uvicorn starts a task per request as soon as it has the head. Most requests here are answered without ever
        # waiting for anything, so the task waits until the body is there, and often is not needed then.
        if self._answer_now is None or cycle.waiting_for_100_continue or not cycle.more_body:
            super()._start_asgi_task(cycle, app)
        else:
            self._held = cycle

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        held = self._held
        if held is not None and len(held.body) > _HELD_BYTES_MAX:
            self._held = None
            super()._start_asgi_task(held, self.app)

    def on_message_complete(self) -> None:
        self.reading_since = None
        super().on_message_complete()
        held = self._held
        if held is not None:
            self._held = None
            assert self._answer_now is not None
            if self.flow.write_paused or not self._answer_now(held.scope, bytes(held.body), self):
                super()._start_asgi_task(held, self.app)
        self._between = True
        self._head_bytes = self._before_head = self._chunk  # of a request that follows in the same chunk

    def _exact_head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _stop_parsing(self, refusal: ApiError) -> None:
        # An exception in a callback makes the parser stop; `data_received` sees the parser's own error then.
        self._refusal = refusal
        raise ConnectionRefusedError(refusal.message)

    def _refuse(self, error: ApiError) -> None:
        """Answer for the application and close. Where an earlier request is still being answered, close after that."""
        self._discarding = True
        self._in_head = False
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body or cycle.response_started:
                cycle.keep_alive = False
                self.pipeline.clear()
                return
            # Its body will never be whole: nobody waits for it any more.
            self._held = None
            cycle.disconnected = cycle.response_complete = True
            cycle.message_event.set()
        status, headers, body = error_response(error, request_id_header("refused"))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[status] + f"{head}connection: close\r\n\r\n".encode("latin-1") + body)
        self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
