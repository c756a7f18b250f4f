"""The two clients of the simulated Redis: redis-py over a connection of ours, and redis-py without connections."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Literal

import redis.asyncio
from fakeredis._clients._async import FakeAsyncRedisConnection, FakeReader, FakeWriter
from fakeredis._socket import AsyncFakeSocket

from sim.kernel import Host, current_context
from sim.redis.link import RedisLink

Lane = Literal["sdk", "direct"]


class _LinkedSocket(AsyncFakeSocket):
    """A fakeredis connection whose commands and replies travel through the link."""

    link: RedisLink
    worker: str
    handshaking = True

    def send_linked(self, data: bytes) -> None:
        """Send what redis-py wrote: one command, or several of a pipeline, in order."""
        if self.handshaking:
            self.sendall(data)
            return
        sent: list[list[Any]] = []

        def process(fields: list[bytes]) -> Any:
            # A command may have no reply yet (a blocking one); it then comes by itself.
            replies: list[Any] = []
            sent.append(replies)
            if self._server is not None:
                self._captured = replies
                try:
                    self._process_command(fields)
                finally:
                    self._captured = None
            return replies[0] if replies else None

        def answer(_: list[Any]) -> None:
            for replies in sent:
                for reply in replies:
                    AsyncFakeSocket.put_response(self, reply)

        self.link.submit(self.worker, current_context.get(), _commands_in(data), process, answer)

    _captured: list[Any] | None = None

    def put_response(self, msg: Any) -> None:
        if self._captured is not None:
            self._captured.append(msg)
        else:
            super().put_response(msg)


def _commands_in(data: bytes) -> list[list[bytes]]:
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


class _LinkedConnection(FakeAsyncRedisConnection):
    """redis-py's connection over the link; connecting itself takes no time, as to a pool that is warm."""

    def __init__(self, *args: Any, link: RedisLink, worker: str, **kwargs: Any) -> None:
        self._link = link
        self._worker = worker
        super().__init__(*args, server=link.server, **kwargs)

    async def _connect(self) -> None:
        socket = _LinkedSocket(
            self._server,
            self.db,
            client_class=self._client_class,
            lua_modules=self._lua_modules,
            client_info=self._client_info,
        )
        socket.link = self._link
        socket.worker = self._worker
        self._sock = socket
        self._reader = FakeReader(socket)
        self._writer = _LinkedWriter(socket)

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        result = await super().connect(*args, **kwargs)  # type: ignore[no-untyped-call]
        if self._sock is not None:
            self._sock.handshaking = False  # type: ignore[attr-defined]
        return result


class DirectRedis(redis.asyncio.Redis):
    """redis-py's client with its connections bypassed: same commands, same replies, a sixth of the time.

    Pipelines, subscriptions and blocking commands need a connection; here they raise.
    """

    def __init__(self, host: Host, link: RedisLink) -> None:
        # Half of redis-py's own constructor fills a table of 340 callbacks: do it once, not in every world.
        self.__dict__.update(_prototype().__dict__)
        self._sim_host = host
        self._link = link
        self._socket = link.direct_socket()

    # redis-py's own `set`, without the wrapper that looks through each call's arguments for experimental ones.
    set = getattr(redis.asyncio.Redis.set, "__wrapped__", redis.asyncio.Redis.set)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        name: str = args[0]
        fields: list[bytes] = name.encode().split()
        for argument in args[1:]:
            fields.append(argument if type(argument) is bytes else _encode(argument))
        future = self._sim_host.loop.create_future()

        def answer(replies: list[Any]) -> None:
            if not future.done():
                future.set_result(replies[0])

        self._link.submit(self._sim_host.name, current_context.get(), [fields], self._socket.execute, answer)
        reply = await future
        if isinstance(reply, Exception):
            raise reply
        callback = self.response_callbacks.get(name)
        if callback is None:
            return reply
        options.pop("keys", None)
        return callback(reply, **options)

    def pipeline(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("pipelines are not in the direct lane: use lane sdk")

    def pubsub(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("subscriptions are not in the direct lane: use lane sdk")

    def monitor(self) -> Any:
        raise RuntimeError("MONITOR is not in the direct lane: use lane sdk")


@functools.cache
def _prototype() -> redis.asyncio.Redis:
    return redis.asyncio.Redis(connection_pool=redis.asyncio.ConnectionPool())


def _encode(value: Any) -> bytes:
    """As redis-py encodes an argument."""
    if type(value) is str:
        return value.encode()
    if type(value) is int:
        return b"%d" % value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise redis.asyncio.DataError(
            f"Invalid input of type: '{type(value).__name__}'. Convert to a bytes, string, int or float first."
        )
    return value.encode() if isinstance(value, str) else repr(value).encode()


def make_client(host: Host, link: RedisLink, lane: Lane) -> redis.asyncio.Redis:
    """A Redis client for code on `host`, in the lane asked for."""
    if lane == "direct":
        return DirectRedis(host, link)
    pool = redis.asyncio.ConnectionPool(connection_class=_LinkedConnection, link=link, worker=host.name)
    return redis.asyncio.Redis(connection_pool=pool)
