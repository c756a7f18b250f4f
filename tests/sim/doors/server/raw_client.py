"""A client on a bare socket: it sends what it is told, byte by byte, and sees resets and ends of connections as they are."""

from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any, NamedTuple, Self

from relaysim.sim.doors.server.background import BackgroundServer

HEADERS = {
    "host": "simulated",
    "authorization": "Bearer sk-test",
    "openai-beta": "assistants=v2",
    "content-type": "application/json",
}
ASSISTANT = "asst_" + "a" * 24

RESET = "reset"
CLOSED = "closed"


class Response(NamedTuple):
    """An answer: `head` and `body` as they came, and the rest parsed. Without a length, the body is all that came."""

    status: int
    headers: dict[str, str]
    body: bytes
    head: bytes

    @property
    def data(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The body's error object, which must have its four keys and no other."""
        error: dict[str, Any] = self.data["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


class RawClient:
    """One connection."""

    def __init__(self, running: BackgroundServer, seconds: float = 60.0) -> None:
        host, _, port = running.url.removeprefix("http://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=seconds)
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        """Send a request; a body that is not bytes goes as JSON. An underscore in a header's name is a dash."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if content and "content-length" not in given and "transfer-encoding" not in given:
            given["content-length"] = str(len(content))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)

    def receive(self) -> Response:
        """The next answer, by its content-length."""
        while b"\r\n\r\n" not in self.received:
            self._more()
        head, _, rest = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0))
        self.received = rest
        while len(self.received) < length:
            self._more()
        body, self.received = self.received[:length], self.received[length:]
        return Response(int(first.split()[1]), headers, body, head)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request and receive its answer."""
        self.send(method, path, body, **headers)
        return self.receive()

    def rest(self) -> tuple[bytes, str]:
        """Everything up to the end of the connection, and what the end was: `closed` or `reset`."""
        while True:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return self.received, RESET
            if not data:
                return self.received, CLOSED
            self.received += data

    def wait_for(self, expected: bytes) -> bytes:
        """Everything up to and with these bytes."""
        while expected not in self.received:
            self._more()
        before, _, self.received = self.received.partition(expected)
        return before + expected

    def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.received += (data := self.socket.recv(65536))
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)
        assert data, "the connection was closed"
        return False

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError(f"the connection ended after {self.received!r}")
        self.received += data


def chunks(body: bytes) -> bytes:
    """The content of a chunked body, which need not be complete."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        content, body = content + body[:length], body[length + 2 :]
        if length == 0:
            break
    return content
