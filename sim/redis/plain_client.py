"""redis-py's client for plain code outside of worlds, such as a test: virtual time passes until its replies are there."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable, Coroutine
from typing import Any

import redis
from fakeredis._clients._sync import FakeRedisConnection
from fakeredis._socket import FakeSocket
from redis.connection import ConnectionPool

from relaysim.sim.kernel import current_context
from relaysim.sim.redis.link import RedisLink
from relaysim.sim.redis.linked_connection import commands_in
from relaysim.sim.redis.wait import Waits

WaitFor = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine on the host of plain code, with all that happens meanwhile, and returns what it returned."""

WaitUntil = Callable[[Callable[[], bool], float], None]
"""Lets virtual time pass until something is so, at most for so many seconds."""


def plain_client(link: RedisLink, worker: str, wait_for: WaitFor, wait_until: WaitUntil) -> redis.Redis:
    """A `redis.Redis` of the simulated server, with redis-py's own defaults; texts come as bytes.

    Args:
        link: the server, and the network to it.
        worker: what the trace calls whoever uses it.
        wait_for, wait_until: as above.
    """
    options: dict[str, Any] = {"link": link, "worker": worker, "wait_for": wait_for, "wait_until": wait_until}
    retry = copy.deepcopy(redis.Redis().connection_pool.connection_kwargs["retry"])
    return redis.Redis(connection_pool=ConnectionPool(connection_class=_PlainConnection, retry=retry, **options))


class _PlainSocket(Waits, FakeSocket):
    """fakeredis' connection, whose commands and replies travel through the link; a handshake takes no time."""

    link: RedisLink
    worker: str
    wait_for: WaitFor
    session: int | None
    timeout = math.inf
    written = 0
    pushed_until = 0.0
    handshaking = True
    _awaited: asyncio.Future[None] | None = None

    def sendall(self, data: Any) -> None:
        """Send what redis-py wrote, and let time pass until its replies are there."""
        if self.handshaking:
            super().sendall(data)
        else:
            self.wait_for(self._exchange(commands_in(data)))

    async def _exchange(self, commands: list[list[bytes]]) -> None:
        self._awaited = awaited = asyncio.get_running_loop().create_future()
        sent: list[list[Any]] = []

        def process(fields: list[bytes]) -> Any:
            replies: list[Any] = []
            sent.append(replies)
            return None if self._server is None else self.reply_to(fields, replies)

        def answer(_: list[Any]) -> None:
            for reply in (reply for replies in sent for reply in replies):
                FakeSocket.put_response(self, reply)
            if not awaited.done():
                awaited.set_result(None)

        self.link.submit(self.worker, current_context.get(), commands, process, answer, self, self.fail)
        await awaited

    def fail(self, error: Exception) -> None:
        """Whoever waits for a reply gets this error."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(error)

    def reset(self) -> None:
        """The server has reset the connection."""
        self.fail(redis.ConnectionError("Connection reset by peer"))

    def put_response(self, msg: Any) -> None:
        if self._captured is not None:
            self._captured.append(msg)
        elif self.handshaking:
            super().put_response(msg)
        else:  # what the server sends by itself: a message of a channel
            self.link.push(self.worker, lambda: FakeSocket.put_response(self, msg), self)


class _PlainConnection(FakeRedisConnection):
    """redis-py's connection over the link."""

    def __init__(
        self, *args: Any, link: RedisLink, worker: str, wait_for: WaitFor, wait_until: WaitUntil, **kwargs: Any
    ) -> None:
        self._link, self._worker, self._wait_for, self._wait_until = link, worker, wait_for, wait_until
        super().__init__(*args, server=link.server, **kwargs)

    def _connect(self) -> FakeSocket:
        socket = _PlainSocket(
            self._link.server, self.db, client_class=self._client_class, client_info=self._client_info
        )
        socket.link, socket.worker, socket.wait_for = self._link, self._worker, self._wait_for
        socket.session = self._link.faulty_path.session
        socket.timeout = math.inf if self.socket_timeout is None else self.socket_timeout
        return socket

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)
        if self._sock is not None:
            self._sock.handshaking = False

    def can_read(self, timeout: float | None = 0) -> bool:
        """Whether something has come, or comes within so many virtual seconds; None: ever."""
        if not self._sock:
            self.connect()
        self._let_come(timeout)
        socket: Any = self._sock
        return bool(socket.responses.qsize())

    def read_response(self, disable_decoding: Any = False, **kwargs: Any) -> Any:
        """The next reply, or the next message of a channel.

        Raises:
            redis.TimeoutError: nothing has come, within a given `timeout` or for ever.
        """
        timeout = kwargs.get("timeout")
        self._let_come(timeout if isinstance(timeout, int | float) else None)
        if self._sock and not self._sock.responses.qsize():
            raise redis.TimeoutError("Timeout reading from the simulated Redis: nothing has come")
        return super().read_response(disable_decoding=disable_decoding, **kwargs)

    def _let_come(self, timeout: float | None) -> None:
        socket: Any = self._sock
        if socket and not socket.responses.qsize() and timeout != 0:
            self._wait_until(lambda: bool(socket.responses.qsize()), math.inf if timeout is None else timeout)
