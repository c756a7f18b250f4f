"""Goal: before a real Redis stands what the scenario says of it: it is slow, gone, replaced, or loses commands and replies;
each fault is counted and recorded as in virtual time, when it struck.

Method: a real Valkey, and connections of our own, which say exactly what came; waits that end with what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import ConnectionError as Refused
from redis.exceptions import NoScriptError

from relaysim.sim.doors.server.pacer import Pacer
from relaysim.sim.kernel import Kernel
from relaysim.sim.kernel.distributions import Constant
from relaysim.sim.outside.command_stream import CommandStream
from relaysim.sim.outside.programs import Guard
from relaysim.sim.outside.redis_proxy import RedisProxy
from relaysim.sim.outside.redis_server import WorldRedis
from relaysim.sim.redis import RedisFault

SECONDS = Constant(kind="constant", value=0.3)
NAMED = "-- mark\nreturn redis.call('SET', KEYS[1], ARGV[1])"


class Way:
    """A proxy before a Valkey, and what was recorded."""

    def __init__(self, kernel: Kernel, proxy: RedisProxy, port: int) -> None:
        self.kernel = kernel
        self.proxy = proxy
        self.port = port

    def client(self) -> redis.asyncio.Redis:
        """One that sends nothing twice."""
        return redis.asyncio.Redis(host="127.0.0.1", port=self.port, retry=None, socket_timeout=20)

    def recorded(self) -> list[tuple[Any, ...]]:
        return [(each.kind, *each.fields) for each in self.kernel.trace.records]


@asynccontextmanager
async def way(tmp_path: Path, *faults: RedisFault, heard: list[tuple[str, str]] | None = None) -> AsyncIterator[Way]:
    kernel = Kernel(1, 1)
    pacer = Pacer(kernel, 1.0, lambda error: None)
    pacer.start(asyncio.get_running_loop())

    @contextmanager
    def present() -> Iterator[None]:
        pacer.catch_up()
        yield
        pacer.arm()

    with Guard() as guard:
        server = WorldRedis(tmp_path, guard, loses=any(each.lost_seconds is not None for each in faults))
        try:
            await server.start()
            on_command = None if heard is None else lambda worker, name: heard.append((worker, name))
            proxy = RedisProxy(kernel, faults, server, present, pacer.sleep, on_command)
            with present():
                port = proxy.open("w1")
                proxy.begin()
            try:
                yield Way(kernel, proxy, port)
                proxy.check()
            finally:
                await proxy.close()
        finally:
            server.close()
            pacer.stop()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.02)


async def answers(client: redis.asyncio.Redis) -> bool:
    try:
        return bool(await client.ping())
    except (Refused, OSError):
        return False


def test_it_hands_on_what_it_does_not_hit_and_tells_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        heard: list[tuple[str, str]] = []
        other = RedisFault(kind="reply_lost", command="GETDEL")
        async with way(tmp_path, other, heard=heard) as made, made.client() as client:
            large = b"x" * 300_000
            assert await client.set("a", large)
            assert await client.get("a") == large
            async with client.pipeline() as pipe:
                pipe.incr("n")
                pipe.incr("n")
                assert await pipe.execute() == [1, 2]
            assert await client.eval(NAMED, 1, "k", "v") == b"OK"
            assert made.proxy.faults.fired == [0]
            assert made.recorded() == []
        assert heard == [("w1", name) for name in ("SET", "GET", "MULTI", "INCRBY", "INCRBY", "EXEC", "mark")]

    asyncio.run(main())


def test_a_server_that_is_gone_resets_and_refuses_and_comes_back_with_its_data(tmp_path: Path) -> None:
    async def main() -> None:
        gone = RedisFault(kind="restart", command="GET", nth=(2,), seconds=SECONDS)
        async with way(tmp_path, gone) as made, made.client() as client, made.client() as waiting:
            digest = await client.script_load(NAMED)
            await client.set("a", "kept")
            assert await client.get("a") == b"kept"
            blocked = asyncio.create_task(waiting.blpop(["nothing"], timeout=0))
            await asyncio.sleep(0.1)  # which does not matter: it is reset or refused
            with pytest.raises(Refused):
                await client.get("a")
            with pytest.raises(Refused):
                await blocked
            with pytest.raises(Refused):
                await client.get("a")
            assert made.proxy.is_away
            await until(lambda: answers(client))
            assert not made.proxy.is_away
            assert await client.get("a") == b"kept"
            with pytest.raises(NoScriptError):
                await client.evalsha(digest, 1, "a", "b")
            assert made.proxy.faults.fired == [1]
            assert made.recorded() == [("redis.fault", "restart", "GET", "a"), ("redis.back", "restart")]

    asyncio.run(main())


def test_what_was_written_last_is_lost_with_the_server_and_what_was_confirmed_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        lost = RedisFault(kind="failover", command="mark", nth=(1,), seconds=SECONDS, lost_seconds=SECONDS)
        async with way(tmp_path, lost) as made, made.client() as client:
            await client.set("before", "1", px=600_000)
            assert await client.wait(1, 20_000) == 1
            assert await client.eval(NAMED, 1, "lost", "v") == b"OK"  # it is told that this was written
            await until(lambda: answers(client))
            assert await client.get("before") == b"1"
            assert 0 < await client.pttl("before") <= 600_000
            assert await client.get("lost") is None
            await client.set("after", "1")
            assert await client.wait(1, 20_000) == 1
            assert made.proxy.faults.fired == [1]
            assert made.recorded() == [("redis.fault", "failover", "mark", "lost"), ("redis.back", "failover")]

    asyncio.run(main())


def test_writes_of_the_time_before_a_failover_are_lost(tmp_path: Path) -> None:
    async def main() -> None:
        at, lag = Constant(kind="constant", value=2.0), Constant(kind="constant", value=1.5)
        lost = RedisFault(kind="failover", at_seconds=at, seconds=SECONDS, lost_seconds=lag)
        async with way(tmp_path, lost) as made, made.client() as client:
            await client.set("before", "1")
            await until(lambda: is_unconfirmed(client))
            await client.set("lost", "1")

            async def struck() -> bool:
                return bool(made.proxy.faults.fired[0])

            await until(struck)
            await until(lambda: answers(client))
            assert (await client.get("before"), await client.get("lost")) == (b"1", None)

    async def is_unconfirmed(client: redis.asyncio.Redis) -> bool:
        return await client.wait(1, 1) == 0

    asyncio.run(main())


def test_a_slow_server_takes_longer_for_a_while(tmp_path: Path) -> None:
    async def main() -> None:
        delay = Constant(kind="constant", value=0.4)
        last = Constant(kind="constant", value=0.2)
        slow = RedisFault(kind="slow", command="GET", nth=(1,), seconds=last, delay_seconds=delay)
        async with way(tmp_path, slow) as made, made.client() as client:
            began = made.kernel.now
            await client.get("a")

            async def recorded() -> bool:
                return len(made.recorded()) == 2

            await until(recorded)
            assert made.kernel.now - began >= 0.4
            assert made.recorded() == [("redis.fault", "slow", "GET", "a"), ("redis.back", "slow")]
            assert made.proxy.faults.fired == [1]

    asyncio.run(main())


async def silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.5):
            return not await reader.read(1)
    except TimeoutError:
        return True


@pytest.mark.parametrize(("kind", "processed"), [("reply_lost", b"1"), ("command_lost", None)])
def test_nothing_comes_back_over_a_connection_that_lost_something(
    kind: Any, processed: bytes | None, tmp_path: Path
) -> None:
    async def main() -> None:
        async with way(tmp_path, RedisFault(kind=kind, command="SET", nth=(1,))) as made, made.client() as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
            writer.write(b"SET a 1\r\n")
            assert await silent(reader)
            writer.write(b"PING\r\n")
            assert await silent(reader)
            assert await client.get("a") == processed
            assert made.proxy.faults.fired == [1]
            assert made.recorded() == [("redis.fault", kind, "SET", "a")]
            with made.proxy._present():
                made.proxy.stop_faults()
            with pytest.raises(ConnectionError):
                await reader.read(1)
            writer.close()

    asyncio.run(main())


def test_a_late_command_arrives_though_its_sender_has_gone(tmp_path: Path) -> None:
    async def main() -> None:
        late = RedisFault(kind="command_late", command="SET", nth=(1,), seconds=SECONDS)
        async with way(tmp_path, late) as made, made.client() as client:
            _, writer = await asyncio.open_connection("127.0.0.1", made.port)
            writer.write(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n")
            await writer.drain()
            writer.close()

            async def is_there() -> bool:
                return await client.get("a") == b"1"

            await until(is_there)
            assert made.proxy.faults.fired == [1]

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_commands_are_read_in_whatever_pieces_they_come(size: int) -> None:
    written = b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\nPING now\r\n*1\r\n$4\r\nQUIT\r\n"
    stream, fields, raw = CommandStream(), [], b""
    for position in range(0, len(written), size):
        commands = stream.feed(written[position : position + size])
        fields += commands.fields
        raw += commands.raw
    assert fields == [[b"GET", b"\r\n"], [b"PING", b"now"], [b"QUIT"]]
    assert raw == written


def test_what_is_no_command_is_handed_on_as_it_is() -> None:
    stream = CommandStream()
    assert stream.feed(b"*1\r\nGET\r\n") == ([], b"*1\r\nGET\r\n")
    assert stream.feed(b"*") == ([], b"*")
