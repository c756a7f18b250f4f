"""redis-py's connection to the simulated Redis, and the socket beneath it, whose commands travel through the link."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import redis.asyncio
from fakeredis._clients._async import FakeAsyncRedisConnection, FakeReader, FakeWriter
from fakeredis._socket import AsyncFakeSocket

from relaysim.sim.kernel import current_context
from relaysim.sim.redis.faulty_path import CLOSED, RESET
from relaysim.sim.redis.link import RedisLink
from relaysim.sim.redis.wait import Waits


class _Broken:
    """Instead of a reply: what happened to the connection."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class _LinkedSocket(Waits, AsyncFakeSocket):
    """A fakeredis connection whose commands and replies travel through the link."""

    link: RedisLink
    worker: str
    session: int | None
    timeout: float
    written = 0
    pushed_until = 0.0
    handshaking = True

    def send_linked(self, data: bytes) -> None:
        """Send what redis-py wrote: one command, or several of a pipeline, in order."""
        if self.handshaking:
            self.sendall(data)
            return
        if self.session != self.link.faulty_path.session:
            self.fail(redis.asyncio.ConnectionError(CLOSED))
            return
        sent: list[list[Any]] = []

        def process(fields: list[bytes]) -> Any:
            # What is put there later, when a command no longer has to wait, is also sent.
            replies: list[Any] = []
            sent.append(replies)
            return None if self._server is None else self.reply_to(fields, replies)

        def answer(_: list[Any]) -> None:
            for replies in sent:
                for reply in replies:
                    AsyncFakeSocket.put_response(self, reply)

        self.link.submit(self.worker, current_context.get(), commands_in(data), process, answer, self, self.fail)

    def fail(self, error: Exception) -> None:
        """Let whoever waits for a reply get this error."""
        super().put_response(_Broken(error))

    def reset(self) -> None:
        """The server has reset the connection: what it would send by itself no longer comes."""
        if self._server is None:
            return
        subscribes = self._pubsub
        self.kill()
        if subscribes:
            self.fail(redis.asyncio.ConnectionError(RESET))

    def put_response(self, msg: Any) -> None:
        if self._captured is not None:
            self._captured.append(msg)
        elif self.handshaking:
            super().put_response(msg)
        else:  # what the server sends by itself: a message of a channel
            self.link.push(self.worker, lambda: self._receive(msg), self)

    def _receive(self, msg: Any) -> None:
        if self.session == self.link.faulty_path.session:  # else the connection was reset meanwhile
            super().put_response(msg)


def commands_in(data: bytes) -> list[list[bytes]]:
    """The commands in a piece of the Redis protocol, as redis-py packs them: whole arrays of bulk strings."""
    commands: list[list[bytes]] = []
    position = 0
    while position < len(data):
        end = data.index(b"\r\n", position)
        count = int(data[position + 1 : end])
        position = end + 2
        fields: list[bytes] = []
        for _ in range(count):
            end = data.index(b"\r\n", position)
            length = int(data[position + 1 : end])
            position = end + 2
            fields.append(data[position : position + length])
            position += length + 2
        commands.append(fields)
    return commands


class _LinkedWriter(FakeWriter):
    def writelines(self, data: Iterable[Any]) -> None:
        if self._socket is not None:
            self._socket.send_linked(b"".join(data))  # type: ignore[attr-defined]


class LinkedConnection(FakeAsyncRedisConnection):
    """redis-py's connection over the link."""

    _was_connected = False

    def __init__(self, *args: Any, link: RedisLink, worker: str, **kwargs: Any) -> None:
        self._link = link
        self._worker = worker
        super().__init__(*args, server=link.server, **kwargs)

    async def _connect(self) -> None:
        again, self._was_connected = self._was_connected, True
        session = await self._link.faulty_path.connect(self._worker, again=again)
        socket = _LinkedSocket(
            self._server,
            self.db,
            client_class=self._client_class,
            lua_modules=self._lua_modules,
            client_info=self._client_info,
        )
        socket.link = self._link
        socket.worker = self._worker
        socket.session = session
        socket.timeout = math.inf if self.socket_timeout is None else self.socket_timeout
        if self._link.has_faults:
            self._link.faulty_path.register(socket)
        self._sock = socket
        self._reader = FakeReader(socket)
        self._writer = _LinkedWriter(socket)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        if self._sock is not None:
            self._sock.handshaking = False  # type: ignore[attr-defined]

    async def disconnect(self, nowait: bool = False, *args: Any, **kwargs: Any) -> None:
        socket: Any = self._sock
        await super().disconnect(nowait, *args, **kwargs)
        if socket is not None:
            self._link.faulty_path.blocked.hang_up(socket)

    async def _read_response(self, **kwargs: Any) -> Any:
        response = await super()._read_response(**kwargs)
        if type(response) is _Broken:
            raise response.error
        return response
