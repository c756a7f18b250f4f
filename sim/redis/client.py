"""The two clients of the simulated Redis: redis-py over a connection of ours, and redis-py without connections."""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.exceptions import MaxConnectionsError
from redis.utils import format_error_message

from relaysim.sim.kernel import Host, SimulatorError, current_context
from relaysim.sim.redis.faulty_path import CLOSED, HOST
from relaysim.sim.redis.link import RedisLink
from relaysim.sim.redis.linked_connection import LinkedConnection
from relaysim.sim.redis.wait import BLOCKING

Lane = Literal["sdk", "direct"]


class NotInDirectLaneError(SimulatorError, RuntimeError):
    """The direct lane has no connections, and this needs one."""

    def __init__(self, what: str, instead: str = "use lane sdk") -> None:
        super().__init__(f"{what} not in the direct lane: {instead}")


class _DirectLine:
    """What is left of a connection where it is bypassed: whether it is there, and what was written over it."""

    __slots__ = ("session", "timeout", "was_connected", "written")

    def __init__(self, timeout: float) -> None:
        self.session: int | None = None
        self.timeout = timeout
        self.was_connected = False
        self.written = 0

    def drop(self) -> None:
        """No longer connected."""
        self.session = None
        self.written = 0


class DirectRedis(redis.asyncio.Redis):
    """redis-py's client with its connections bypassed: same commands, same replies, a sixth of the time.

    In a world with faults it keeps what matters of them: which are reset, what redis-py's own `Retry` does about it, and
    that a command that was given up takes its connection with it.

    Transactions and subscriptions need a connection; here they raise.
    """

    _retry: Retry | None = None

    def __init__(self, host: Host, link: RedisLink) -> None:
        # Half of redis-py's own constructor fills a table of 340 callbacks: do it once, not in every world.
        self.__dict__.update(_prototype().__dict__)
        self._sim_host = host
        self._link = link
        self._socket = link.direct_socket()
        self._idle_lines: list[_DirectLine] = []
        self._busy_lines = 0

    # redis-py's own `set`, without the wrapper that looks through each call's arguments for experimental ones.
    set = getattr(redis.asyncio.Redis.set, "__wrapped__", redis.asyncio.Redis.set)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        name: str = args[0]
        fields = _packed(args)
        link = self._link
        if link.has_faults or name in _NEED_A_LINE:
            (reply,) = await self.exchange([fields])
        else:
            future = self._sim_host.loop.create_future()

            def answer(replies: list[Any]) -> None:
                if not future.done():
                    future.set_result(replies[0])

            link.submit(self._sim_host.name, current_context.get(), [fields], self._socket.execute, answer)
            reply = await future
        if isinstance(reply, Exception):
            raise reply
        callback = self.response_callbacks.get(name)
        if callback is None:
            return reply
        options.pop("keys", None)
        return callback(reply, **options)

    # What redis-py does with its connections

    def get_retry(self) -> Retry:
        if self._retry is None:
            self._retry = copy.deepcopy(_DEFAULT_RETRY)
        return self._retry

    def set_retry(self, retry: Retry) -> None:
        self._retry = retry

    async def exchange(self, commands: list[list[bytes]]) -> list[Any]:
        """The replies to commands over one connection; error replies are returned.

        As `redis.asyncio.Redis.execute_command` and `redis.asyncio.client.Pipeline.execute` do it.
        """
        retry = self.get_retry()
        line = self._take_line()
        try:
            if line.session is None:
                await self._repeat(retry, line, self._connect)
            replies: list[Any] = await self._repeat(retry, line, self._exchange, commands)
            return replies
        finally:
            self._busy_lines -= 1
            self._idle_lines.append(line)

    def _take_line(self) -> _DirectLine:
        """See `redis.asyncio.ConnectionPool.get_available_connection`."""
        if self._idle_lines:
            line = self._idle_lines.pop()
        elif self._busy_lines >= _DEFAULT_POOL.max_connections:
            raise MaxConnectionsError("Too many connections")
        else:
            line = _DirectLine(_DEFAULT_POOL.connection_kwargs["socket_timeout"])
        self._busy_lines += 1
        return line

    @staticmethod
    async def _repeat(retry: Retry, line: _DirectLine, do: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        async def close(error: Exception) -> None:
            line.drop()

        return await retry.call_with_retry(lambda: do(line, *args), close)

    async def _connect(self, line: _DirectLine) -> None:
        """See `redis.asyncio.Connection.connect_check_health`."""
        again, line.was_connected = line.was_connected, True
        try:
            line.session = await self._link.faulty_path.connect(self._sim_host.name, again=again)
        except OSError as error:
            raise redis.asyncio.ConnectionError(format_error_message(HOST, error)) from error

    async def _exchange(self, line: _DirectLine, commands: list[list[bytes]]) -> list[Any]:
        """See `redis.asyncio.Redis._send_command_parse_response`."""
        if line.session is None:
            await self._connect(line)
        if line.session != self._link.faulty_path.session:
            raise redis.asyncio.ConnectionError(CLOSED)
        future = self._sim_host.loop.create_future()

        def receive(replies: list[Any] | Exception) -> None:
            if not future.done():
                future.set_result(replies)

        worker = self._sim_host.name
        self._link.submit(worker, current_context.get(), commands, self._socket.execute, receive, line, receive)
        try:
            replies: list[Any] | Exception = await future
        except BaseException:
            line.drop()
            self._link.faulty_path.blocked.hang_up(line)
            raise
        if isinstance(replies, Exception):
            raise replies
        return replies

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> DirectPipeline:
        if transaction:
            raise NotInDirectLaneError("transactions are", "use lane sdk, or pipeline(transaction=False)")
        return DirectPipeline(self, shard_hint)

    def pubsub(self, *args: Any, **kwargs: Any) -> Any:
        raise NotInDirectLaneError("subscriptions are")

    def monitor(self) -> Any:
        raise NotInDirectLaneError("MONITOR is")


class DirectPipeline(redis.asyncio.client.Pipeline):
    """redis-py's pipeline with its connection bypassed. Only what is no transaction."""

    def __init__(self, client: DirectRedis, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, shard_hint)
        self._client = client

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "WATCH":
            raise NotInDirectLaneError("WATCH is")
        return await self._client.execute_command(*args, **options)

    def multi(self) -> None:
        raise NotInDirectLaneError("transactions are")

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = self.command_stack
        if not stack:
            return []
        try:
            if self.scripts:
                await self.load_scripts()  # type: ignore[no-untyped-call]
            replies = await self._client.exchange([_packed(args) for args, _ in stack])
            response = []
            for (args, options), reply in zip(stack, replies, strict=True):
                callback = None if isinstance(reply, Exception) else self.response_callbacks.get(args[0])
                given = {name: value for name, value in options.items() if name != "keys"}
                response.append(reply if callback is None else callback(reply, **given))
            if raise_on_error:
                self.raise_first_error(stack, response)
            return response
        finally:
            await self.reset()  # type: ignore[no-untyped-call]


@functools.cache
def _prototype() -> redis.asyncio.Redis:
    return redis.asyncio.Redis(connection_pool=redis.asyncio.ConnectionPool())


_DEFAULT_POOL: Final = redis.asyncio.Redis().connection_pool
"""The pool that redis-py makes for a client of which nothing is said. Made here, where no world can notice."""

_NEED_A_LINE: Final = BLOCKING | {"WAIT"}
"""Commands that take a connection for themselves, also in a world without faults."""

_DEFAULT_RETRY: Final[Retry] = _DEFAULT_POOL.connection_kwargs["retry"]


def _packed(arguments: Sequence[Any]) -> list[bytes]:
    """A command as redis-py packs it."""
    fields: list[bytes] = arguments[0].encode().split()
    for argument in arguments[1:]:
        fields.append(argument if type(argument) is bytes else _encode(argument))
    return fields


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
    pool = redis.asyncio.ConnectionPool(
        connection_class=LinkedConnection, link=link, worker=host.name, retry=copy.deepcopy(_DEFAULT_RETRY)
    )
    return redis.asyncio.Redis(connection_pool=pool)
