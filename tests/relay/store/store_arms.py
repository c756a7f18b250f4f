"""The two servers that the store is tested against, and clients that repeat what they send.

- `VirtualArm`: fakeredis in virtual time.
- `ServerArm`: a real Valkey server in real time; leases that a test lets lapse are short there.

A test that runs in both says what it needs in leases: `arm.store()` has one that no test outlives, `arm.store(short=True)`
one that `await arm.outlive_lease()` outlives.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

import redis.asyncio

from relaysim.relay.drain.store import Store
from relaysim.sim.kernel import Fence, Kernel
from relaysim.sim.redis import RedisLink, make_client, warm_up
from relaysim.sim.redis.client import Lane

PREFIX = "relay:"
REMEMBER_SECONDS = 7 * 86_400.0
LONG_LEASE_SECONDS = 600.0


def sha(script: str) -> str:
    """The name by which a server knows a script."""
    return hashlib.sha1(script.encode()).hexdigest()


class TwiceClient:
    """A Redis client whose every script is processed twice; the second reply is what the caller gets."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def evalsha(self, *arguments: Any) -> Any:
        await self._client.evalsha(*arguments)
        return await self._client.evalsha(*arguments)

    async def eval(self, *arguments: Any) -> Any:
        await self._client.eval(*arguments)
        return await self._client.eval(*arguments)


class RecordingClient:
    """A Redis client that remembers each script it sent, so that it can be sent again at any later time."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.sent: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def evalsha(self, *arguments: Any) -> Any:
        reply = await self._client.evalsha(*arguments)
        self.sent.append(arguments)
        return reply

    async def eval(self, *arguments: Any) -> Any:
        reply = await self._client.eval(*arguments)
        self.sent.append((sha(arguments[0]), *arguments[1:]))
        return reply

    async def send_again(self, index: int) -> Any:
        return await self._client.evalsha(*self.sent[index])


class Arm(Protocol):
    """A server with nothing in it, and a clock."""

    short_lease_seconds: float

    @property
    def client(self) -> Any: ...

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test to its end."""

    def store(self, *, short: bool = False, client: Any = None, **settings: Any) -> Store:
        """A store on the server, through a client of one's own or the arm's."""

    def repeating_client(self) -> Any:
        """The client that stores get: in some arms every script it sends is processed twice."""

    async def outlive_lease(self) -> None:
        """Let more time pass than a short lease lasts."""

    async def wait(self, leases: float) -> None:
        """Let a part of a short lease pass."""

    async def lapse(self) -> None:
        """Let every lease lapse, whatever its length."""


class _Arm:
    short_lease_seconds: float
    client: Any

    def __init__(self, *, twice: bool) -> None:
        self._twice = twice

    def repeating_client(self) -> Any:
        return TwiceClient(self.client) if self._twice else self.client

    def store(self, *, short: bool = False, client: Any = None, **settings: Any) -> Store:
        if client is None:
            client = self.repeating_client()
        defaults = {
            "prefix": PREFIX,
            "lease_seconds": self.short_lease_seconds if short else LONG_LEASE_SECONDS,
            "remember_seconds": REMEMBER_SECONDS,
            "timeout_seconds": 5.0,
        }
        return Store(client, **{**defaults, **settings})

    async def outlive_lease(self) -> None:
        await self.wait(1.05)

    async def wait(self, leases: float) -> None:
        await asyncio.sleep(leases * self.short_lease_seconds)

    async def lapse(self) -> None:
        await asyncio.sleep(1.05 * max(LONG_LEASE_SECONDS, self.short_lease_seconds))


class VirtualArm(_Arm):
    short_lease_seconds = 10.0

    def __init__(self, *, twice: bool, lane: Lane = "direct") -> None:
        super().__init__(twice=twice)
        self._lane: Lane = lane

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with Fence() as fence:
            warm_up()
            kernel = Kernel(1, 0)
            fence.attach(kernel)
            link = RedisLink(kernel, lambda u: 0.001 * (0.5 + u))
            host = kernel.host("w1")
            self.client = make_client(host, link, self._lane)
            try:
                task = host.spawn(test())
                kernel.run()
                task.result()
            finally:
                kernel.close()
                link.close()
                fence.attach(None)


_RUNS_MAX = 4


class ServerArm(_Arm):
    """See the module.

    A test of short leases that fails on a machine that was slow for a good part of one says nothing of the store: it runs
    again, with longer leases.
    """

    def __init__(self, connection: dict[str, Any], *, twice: bool) -> None:
        super().__init__(twice=twice)
        self._connection = connection

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        for run in range(_RUNS_MAX):
            self.short_lease_seconds = 0.2 * 3.0**run
            self._planned = 0.0
            self._uses_short = False
            began = time.monotonic()
            try:
                asyncio.run(self._with_client(test))
            except Exception:
                late = time.monotonic() - began - self._planned
                if not self._uses_short or late < 0.1 * self.short_lease_seconds or run == _RUNS_MAX - 1:
                    raise
            else:
                return

    async def _with_client(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with emptied(self._connection) as client:
            self.client = client
            await test()

    def store(self, *, short: bool = False, client: Any = None, **settings: Any) -> Store:
        self._uses_short = self._uses_short or short
        return super().store(short=short, client=client, **settings)

    async def wait(self, leases: float) -> None:
        self._planned += leases * self.short_lease_seconds
        await super().wait(leases)

    async def lapse(self) -> None:
        for key in await self.client.keys(PREFIX + "lease:*"):
            await self.client.delete(key)
            await self.client.zadd(PREFIX + "due", {key.removeprefix(b"relay:lease:"): 1}, xx=True)


@asynccontextmanager
async def emptied(connection: dict[str, Any], **options: Any) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the server, which holds no key and knows no script."""
    async with redis.asyncio.Redis(**connection, **options) as client:
        await client.flushall()
        await client.script_flush()
        yield client


async def dump(client: Any, *, ignoring: frozenset[str] = frozenset()) -> dict[str, Any]:
    """All that the server holds, without times to live."""
    held: dict[str, Any] = {}
    for key in sorted(await client.keys("*")):
        kind = (await client.type(key)).decode()
        if kind == "string":
            held[key.decode()] = await client.get(key)
        elif kind == "hash":
            fields = await client.hgetall(key)
            held[key.decode()] = {name: value for name, value in fields.items() if name.decode() not in ignoring}
        else:
            held[key.decode()] = [member for member, _ in await client.zrange(key, 0, -1, withscores=True)]
    return held
