"""Blocking commands in virtual time: first come, first served, and what a wait that ends too early costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
from redis_world import LANES, Place, fault, live, of_kind, outcome


async def _wait_for(client: redis.asyncio.Redis, name: str, seconds: float) -> Any:
    """One blocking command of each kind, waiting for `q` (or `z`, or the stream `s`)."""
    match name:
        case "BLPOP" | "BRPOP":
            return await getattr(client, name.lower())(["other", "q"], timeout=seconds)
        case "BLMOVE":
            return await client.blmove("q", "done", seconds, "LEFT", "RIGHT")
        case "BRPOPLPUSH":
            return await client.brpoplpush("q", "done", seconds)
        case "BLMPOP":
            return await client.blmpop(seconds, 1, "q", direction="LEFT")
        case "BZPOPMIN" | "BZPOPMAX":
            return await getattr(client, name.lower())(["z"], timeout=seconds)
        case "XREAD":
            return await client.xread({"s": "$"}, block=int(seconds * 1000))
        case _:
            return await client.xreadgroup("g", "me", {"s": ">"}, block=int(seconds * 1000))


async def _prepare(client: redis.asyncio.Redis) -> None:
    await client.xadd("s", {"n": 0}, id="1-1")
    await client.xgroup_create("s", "g", id="$")


async def _push(client: redis.asyncio.Redis, number: int) -> None:
    await client.rpush("q", f"job{number}")
    await client.zadd("z", {f"job{number}": number})
    await client.xadd("s", {"n": number}, id=f"2-{number}")


NAMES = ("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "XREAD", "XREADGROUP")


async def conversation(
    name: str, connect: Callable[[], redis.asyncio.Redis], sleep: Callable[[float], Awaitable[None]]
) -> list[Any]:
    """Two that wait, in their order, a push for each, one that finds something at once, and one whose time is up."""
    first, second, pusher = connect(), connect(), connect()
    await _prepare(pusher)
    waits = []
    for client in (first, second):
        waits.append(asyncio.ensure_future(_wait_for(client, name, 30)))
        await sleep(0.05)
    await _push(pusher, 1)
    await sleep(0.05)
    await _push(pusher, 2)
    got = [await each for each in waits]
    await _push(pusher, 3)
    if name != "XREAD":
        got.append(await _wait_for(first, name, 30))
    got.append(await outcome(_wait_for(first, name, 0.1)))
    return [*got, await pusher.lrange("q", 0, -1), await pusher.lrange("done", 0, -1)]


@pytest.mark.parametrize("name", NAMES)
def test_the_simulated_server_answers_as_a_real_one(name: str, valkey_connection: dict[str, Any]) -> None:
    async def real() -> list[Any]:
        made: list[redis.asyncio.Redis] = []

        def connect() -> redis.asyncio.Redis:
            made.append(redis.asyncio.Redis(**valkey_connection, socket_timeout=60))
            return made[-1]

        await connect().flushall()
        try:
            return await conversation(name, connect, asyncio.sleep)
        finally:
            for client in made:
                await client.aclose()

    expected = asyncio.run(real())
    for lane in ("sdk", "direct"):

        async def simulated(place: Place) -> list[Any]:
            return await conversation(name, lambda: place.client, asyncio.sleep)

        _, results, _ = live(lane, simulated)
        assert results == [expected], lane


@LANES
def test_waiters_are_served_in_the_order_in_which_they_came_and_time_is_virtual(lane: str) -> None:
    async def consume(place: Place) -> list[Any]:
        await asyncio.sleep(0.1 * int(place.host.name[1]))
        return [await place.client.blpop(["jobs"], timeout=4), round(place.kernel.now, 1)]

    async def produce(place: Place) -> None:
        for number in range(2):
            await asyncio.sleep(2)
            await place.client.rpush("jobs", number)

    records, results, _ = live(lane, consume, consume, consume, produce)
    assert results[:3] == [[(b"jobs", b"0"), 2.0], [(b"jobs", b"1"), 4.0], [None, 4.3]]
    assert [(who, fields[1:]) for _, who, kind, fields in records if kind == "redis"] == [
        ("w4", ("RPUSH", "jobs", 1)),
        ("w1", ("BLPOP", "jobs", "2 items")),
        ("w4", ("RPUSH", "jobs", 1)),
        ("w2", ("BLPOP", "jobs", "2 items")),
        ("w3", ("BLPOP", "jobs", "nil")),
    ]


def test_both_lanes_leave_the_same_trace_also_under_faults() -> None:
    async def consume(place: Place) -> list[Any]:
        got = []
        for _ in range(6):
            got.append(await outcome(place.client.blmove("jobs", "mine", 1.5, "LEFT", "RIGHT")))
            await asyncio.sleep(0.2)
        return got

    async def produce(place: Place) -> None:
        for number in range(8):
            await asyncio.sleep(0.7)
            await outcome(place.client.rpush("jobs", number))

    for kind in (
        {"kind": "away", "at_seconds": 2, "seconds": 0.5},
        {"kind": "reply_lost", "command": "BLMOVE", "nth": [2]},
    ):
        faults = [fault(**kind)]
        sdk, direct = (live(lane, consume, consume, produce, faults=faults) for lane in ("sdk", "direct"))
        assert direct[:2] == sdk[:2]
        assert sdk[2].faults.fired == [1]


@LANES
def test_a_wait_longer_than_the_socket_may_take_raises_as_redis_py_does(lane: str) -> None:
    async def consume(place: Place) -> list[Any]:
        place.client.set_retry(redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0))
        return [await outcome(place.client.blpop(["jobs"], timeout=9)), place.kernel.now]

    async def produce(place: Place) -> Any:
        await asyncio.sleep(6)
        return [await place.client.rpush("jobs", "kept"), await place.client.llen("jobs")]

    _, results, _ = live(lane, consume, produce)
    assert results[0] == ["TimeoutError: Timeout reading from localhost:6379", 5.0]
    assert results[1] == [1, 1]  # nobody waits any more


@LANES
def test_what_is_popped_for_a_client_that_has_hung_up_or_died_is_lost(lane: str) -> None:
    """With 0.4 s each way: what reaches the server until it knows is given away, what comes later is kept."""

    async def give_up(place: Place) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await place.client.blpop(["a"], timeout=4)

    async def die(place: Place) -> None:
        place.kernel.at(1, place.host.crash)
        await place.client.blpop(["b"], timeout=4)

    async def produce(place: Place) -> list[Any]:
        async def push(key: str, at: float) -> None:
            await asyncio.sleep(at)
            await place.client.rpush(key, at)

        await asyncio.gather(push("a", 0.9), push("a", 1.1), push("b", 0.5), push("b", 0.7))
        return [await place.client.lrange(key, 0, -1) for key in "ab"]

    _, results, _ = live(lane, give_up, die, produce, latency=0.8, spread=0)
    assert results == [None, "unfinished", [[b"1.1"], [b"0.7"]]]


@LANES
def test_in_a_transaction_and_in_a_pipeline(lane: str) -> None:
    async def work(place: Place) -> list[Any]:
        client, got = place.client, []
        if lane == "sdk":
            async with client.pipeline(transaction=True) as pipe:
                got.append(await pipe.blpop(["jobs"], timeout=9).llen("jobs").execute())
        got.append(round(place.kernel.now))
        async with client.pipeline(transaction=False) as pipe:
            got.append(await pipe.blpop(["jobs"], timeout=2).incr("n").execute())
        return [*got, round(place.kernel.now)]

    _, results, _ = live(lane, work)
    assert results == [[*([[None, 0]] if lane == "sdk" else []), 0, [None, 1], 2]]


def test_messages_of_channels_travel_and_get_message_waits_in_virtual_time() -> None:
    async def listen(place: Place) -> list[Any]:
        subscription = place.client.pubsub(ignore_subscribe_messages=True)
        await subscription.subscribe("news")
        await subscription.get_message(timeout=1)
        got: list[Any] = [await subscription.get_message(timeout=2), round(place.kernel.now, 1)]
        async for message in subscription.listen():
            got.append((message["data"], place.kernel.now))
            if message["data"] == b"2":
                break
        await subscription.aclose()
        return got

    async def publish(place: Place) -> list[int]:
        await asyncio.sleep(5)
        counts = [await place.client.publish("news", number) for number in (1, 2)]
        await asyncio.sleep(1)
        return [*counts, await place.client.publish("news", 3)]

    records, results, _ = live("sdk", listen, publish, latency=0.5, spread=0)
    assert results[0] == [None, 2.5, (b"1", 5.5), (b"2", 6.0)]
    assert results[1][:2] == [1, 1]
    assert len(of_kind(records, "redis")) == 4
