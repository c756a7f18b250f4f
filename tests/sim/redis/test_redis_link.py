"""Redis in virtual time: a correct SET NX PX, Lua, expiry by the kernel's clock, and two lanes that agree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio

from relaysim.sim.kernel import Fence, Host, Kernel, LeavesSimulationError, Record, current_context
from relaysim.sim.redis import RedisLink, make_client, warm_up

RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end"

Work = Callable[[redis.asyncio.Redis, Kernel], Awaitable[Any]]


@pytest.fixture(autouse=True)
def _warm() -> None:
    warm_up()


def world(lane: Any, *works: Work, seed: int = 0, latency: float = 0.001) -> tuple[list[Record], list[Any]]:
    """Run one work per host; the trace and what each returned."""
    with Fence() as fence:
        kernel = Kernel(1, seed)
        fence.attach(kernel)
        handled: set[str] = set()
        link = RedisLink(kernel, lambda u: latency * (0.5 + u), is_handled=handled.__contains__)

        async def run(host: Host, work: Work) -> Any:
            name = host.name
            current_context.set(f"delivery-{name}")
            handled.add(f"delivery-{name}")
            client = make_client(host, link, lane)
            try:
                return await work(client, kernel)
            finally:
                handled.discard(f"delivery-{name}")

        tasks = []
        for number, work in enumerate(works, 1):
            host = kernel.host(f"w{number}")
            tasks.append(host.spawn(run(host, work)))
        try:
            kernel.run()
            return kernel.trace.records, [task.result() for task in tasks]
        finally:
            kernel.close()
            link.close()
            fence.attach(None)


LANES = pytest.mark.parametrize("lane", ["sdk", "direct"])


@LANES
def test_a_lease_excludes_others_until_it_runs_out_in_virtual_time(lane: str) -> None:
    async def hold(client: redis.asyncio.Redis, kernel: Kernel) -> Any:
        assert await client.set("lock", "mine", nx=True, px=60_000)
        assert await client.set("lock", "other", nx=True, px=60_000) is None
        await asyncio.sleep(59.9)
        before = await client.get("lock")
        await asyncio.sleep(0.2)
        return before, await client.get("lock"), await client.set("lock", "other", nx=True, px=60_000)

    _, results = world(lane, hold)
    assert results == [(b"mine", None, True)]


@LANES
def test_a_release_by_token_frees_only_ones_own_lease(lane: str) -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> Any:
        await client.set("lock", "mine", nx=True, px=60_000)
        foreign = await client.eval(RELEASE, 1, "lock", "other")
        own = await client.eval(RELEASE, 1, "lock", "mine")
        return foreign, own, await client.get("lock")

    _, results = world(lane, work)
    assert results == [(0, 1, None)]


@LANES
def test_redis_pys_own_lock_works_and_loads_its_script_once(lane: str) -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> Any:
        async with client.lock("job", timeout=5):
            held = await client.exists("job")
        return held, await client.exists("job")

    records, results = world(lane, work)
    assert results == [(1, 0)]
    commands = [record.fields[1] for record in records if record.kind == "redis"]
    assert commands == ["SET", "EXISTS", "EVALSHA", "SCRIPT", "EVALSHA", "EXISTS"]


@LANES
def test_error_replies_are_redis_pys_exceptions(lane: str) -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> str:
        await client.set("word", "x")
        try:
            await client.incr("word")
        except redis.asyncio.RedisError as error:
            return f"{type(error).__name__}: {error}"
        return "no error"

    _, results = world(lane, work)
    assert results[0].startswith("ResponseError: ")
    assert "not an integer" in results[0]


def losses(records: list[Record]) -> list[tuple[float, tuple[Any, ...]]]:
    return [(record.time, record.fields) for record in records if record.kind == "lease.expired"]


@LANES
def test_a_lease_lost_under_its_holder_is_told_once_with_its_time(lane: str) -> None:
    async def hold(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await client.set("lock", "mine", nx=True, px=1000)
        await asyncio.sleep(3)
        await client.eval(RELEASE, 1, "lock", "mine")

    async def wait(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await asyncio.sleep(0.1)
        while not await client.set("lock", "other", nx=True, px=1000):
            await asyncio.sleep(0.1)
        await client.eval(RELEASE, 1, "lock", "other")

    records, _ = world(lane, hold, wait)
    (loss,) = losses(records)
    assert loss[1] == ("lock", "w1", "delivery-w1")
    assert 1.0 < loss[0] < 1.01


@LANES
def test_released_renewed_and_finished_leases_are_no_losses(lane: str) -> None:
    async def released(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await client.set("a", "t", nx=True, px=1000)
        await client.eval(RELEASE, 1, "a", "t")
        await asyncio.sleep(5)

    async def renewed(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await client.set("b", "t", nx=True, px=1000)
        for _ in range(6):
            await asyncio.sleep(0.5)
            assert await client.eval(RENEW, 1, "b", "t", 1000) == 1
        await client.eval(RELEASE, 1, "b", "t")

    async def finished(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await client.set("c", "t", nx=True, px=1000)

    records, _ = world(lane, released, renewed, finished)
    assert losses(records) == []


@pytest.mark.parametrize("seed", range(10))
def test_both_lanes_leave_the_same_trace(seed: int) -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        while not await client.set("lock", "t", nx=True, px=700):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        await client.hset("h", mapping={"a": 1, "b": 2.5})
        await client.hgetall("h")
        await asyncio.gather(*(client.incr(f"n{number}") for number in range(3)))
        await client.eval(RELEASE, 1, "lock", "t")

    sdk, _ = world("sdk", work, work, work, seed=seed)
    direct, _ = world("direct", work, work, work, seed=seed)
    assert direct == sdk
    assert len(sdk) > 30


def test_a_command_takes_effect_although_its_sender_gave_up() -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> Any:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.set("k", "v")
        await asyncio.sleep(1)
        return await client.get("k")

    _, results = world("direct", work, latency=0.5)
    assert results == [b"v"]


def test_no_trace_holds_a_token() -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await client.set("lock", "secret-token", nx=True, px=700)
        await client.get("lock")

    records, _ = world("direct", work)
    assert "secret" not in repr(records)


@pytest.mark.parametrize("name", ["pipeline", "pubsub", "monitor"])
def test_what_the_direct_lane_lacks_says_so(name: str) -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        with pytest.raises(RuntimeError, match="use lane sdk"):
            getattr(client, name)()

    world("direct", work)


def test_a_pipeline_works_in_the_sdk_lane() -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> Any:
        async with client.pipeline(transaction=True) as pipe:
            pipe.set("a", 1)
            pipe.incr("a")
            return await pipe.execute()

    _, results = world("sdk", work)
    assert results == [[True, 2]]


def test_a_real_connection_is_refused() -> None:
    async def work(client: redis.asyncio.Redis, kernel: Kernel) -> None:
        await redis.asyncio.Redis(host="127.0.0.1", port=1).get("x")

    with pytest.raises(LeavesSimulationError):
        world("direct", work)
