"""Failovers that lose the last writes, and WAIT, which says that a write will not be lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis_world import LANES, Place, fault, live, of_kind, outcome

from relaysim.sim.redis import replication

LOSES_A_SECOND = fault(kind="failover", at_seconds=10, seconds=1, lost_seconds=1)


async def at(place: Place, time: float) -> None:
    """Sleep until a virtual time."""
    await asyncio.sleep(time - place.kernel.now)


# What is lost


@LANES
@pytest.mark.parametrize("kind", ["failover", "restart"])
def test_writes_of_the_last_seconds_are_gone_and_older_ones_are_not(lane: str, kind: str) -> None:
    async def write(place: Place) -> list[Any]:
        client = place.client
        await client.set("old", 1)
        await client.hset("hash", mapping={"a": 1})
        await client.rpush("list", "a")
        await client.zadd("due", {"a": 1.0, "b": 2.0})
        await at(place, 9.5)
        await client.set("old", 2)
        await client.set("new", 1)
        await client.hset("hash", mapping={"a": 2, "b": 3})
        await client.rpush("list", "b")
        await client.zadd("due", {"b": 0.5, "c": 0.1})
        await client.zrem("due", "a")
        await at(place, 12)
        return [
            await client.get("old"),
            await client.get("new"),
            await client.hgetall("hash"),
            await client.lrange("list", 0, -1),
            await client.zrange("due", 0, -1, withscores=True),
        ]

    _, results, _ = live(lane, write, faults=[fault(kind=kind, at_seconds=10, seconds=1, lost_seconds=1)])
    assert results == [[b"1", None, {b"a": b"1"}, [b"a"], [(b"a", 1.0), (b"b", 2.0)]]]


@LANES
def test_keys_that_come_back_run_out_when_they_would_have(lane: str) -> None:
    async def write(place: Place) -> list[Any]:
        client = place.client
        await client.set("runs out meanwhile", 1, px=9_300)
        await client.set("renewed", 1, px=13_000)
        await client.set("released", 1, px=13_000)
        await at(place, 9.2)
        await client.pexpire("renewed", 60_000)
        await client.delete("released")
        await at(place, 12.9)
        before = [await client.get(name) for name in ("runs out meanwhile", "renewed", "released")]
        await at(place, 13.1)
        return [before, await client.dbsize(), [await client.exists(name) for name in ("renewed", "released")]]

    assert live(lane, write, faults=[LOSES_A_SECOND])[1] == [[[None, b"1", b"1"], 0, [0, 0]]]


@LANES
def test_a_failover_that_begins_with_a_command_loses_what_that_command_wrote_and_said(lane: str) -> None:
    faults = [fault(kind="failover", command="SET", nth=[2], seconds=1, lost_seconds=30)]

    async def write(place: Place) -> list[Any]:
        client = place.client
        await client.set("a", 1)
        said = await client.set("b", 1)
        there = place.kernel.now < 0.1  # the reply had left before
        return [said, there, await client.get("a"), await client.get("b")]

    assert live(lane, write, faults=faults)[1] == [[True, True, b"1", None]]


@LANES
def test_what_one_failover_lost_the_next_does_not_bring_back(lane: str) -> None:
    faults = [
        fault(kind="failover", at_seconds=10, seconds=0.5, lost_seconds=3),
        fault(kind="failover", at_seconds=12, seconds=0.5, lost_seconds=4),
    ]

    async def write(place: Place) -> list[Any]:
        await at(place, 7.5)
        await place.client.set("ghost", 1)
        await at(place, 11)
        between = await place.client.get("ghost")
        await at(place, 13)
        return [between, await place.client.get("ghost")]

    assert live(lane, write, faults=faults)[1] == [[None, None]]


@LANES
def test_a_failover_that_loses_nothing_keeps_everything(lane: str) -> None:
    async def write(place: Place) -> Any:
        await at(place, 9.998)
        await place.client.set("k", 1)
        await at(place, 12)
        return await place.client.get("k")

    assert live(lane, write, faults=[fault(kind="failover", at_seconds=10, seconds=1)])[1] == [b"1"]


def test_nothing_is_copied_before_it_will_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[float] = []
    real = replication.Snapshot

    def snapshot(server: Any) -> replication.Snapshot:
        copies.append(kernels[-1].now)
        return real(server)

    kernels: list[Any] = []
    monkeypatch.setattr(replication, "Snapshot", snapshot)

    async def write(place: Place) -> None:
        for _ in range(5):
            await place.client.set("k", 1)

    def run(*faults: Any) -> list[float]:
        copies.clear()
        live("direct", write, faults=faults, events=lambda kernel, link, hosts: kernels.append(kernel))
        return list(copies)

    assert run() == []
    assert run(fault(kind="failover", at_seconds=1, seconds=1), fault(kind="reply_lost", nth=[1])) == []
    assert run(LOSES_A_SECOND.model_copy(update={"probability": 0.0})) == []
    assert run(LOSES_A_SECOND) == [9.0]
    (when,) = run(fault(kind="failover", nth=[3], seconds=1, lost_seconds=1))
    assert 0.002 < when < 0.006


# WAIT


@LANES
def test_wait_answers_how_many_replicas_have_the_write_once_they_have_it(lane: str) -> None:
    async def wait(place: Place) -> list[Any]:
        answers = []
        for replicas, milliseconds in ((1, 1000), (2, 1000), (0, 1000), (3, 500), (1, 0)):
            await place.client.set("k", 1)
            began = place.kernel.now
            answers.append((await place.client.wait(replicas, milliseconds), round(place.kernel.now - began, 1)))
        return answers

    records, results, _ = live(lane, wait, replicas=2, replication=lambda u: 0.2)
    assert results == [[(2, 0.2), (2, 0.2), (2, 0.0), (2, 0.5), (2, 0.2)]]
    assert [fields[1:] for _, fields in of_kind(records, "redis") if fields[1] == "WAIT"] == [("WAIT", "", 2)] * 5


@LANES
def test_replicas_slower_than_the_client_waits_have_not_confirmed(lane: str) -> None:
    async def wait(place: Place) -> Any:
        return await place.client.wait(1, 100), round(place.kernel.now, 1)

    assert live(lane, wait, replication=lambda u: 0.5)[1] == [(0, 0.1)]


@LANES
def test_a_wait_without_end_for_replicas_that_do_not_exist_is_redis_pys_timeout(lane: str) -> None:
    async def wait(place: Place) -> Any:
        return await outcome(place.client.wait(2, 0)), place.kernel.now

    ((error, time),) = live(lane, wait)[1]
    assert error == "TimeoutError: Timeout reading from localhost:6379"
    assert 56 < time < 61


@LANES
def test_a_wait_that_makes_no_sense_is_an_error_reply(lane: str) -> None:
    async def wait(place: Place) -> list[Any]:
        return [
            await outcome(place.client.execute_command("WAIT", *arguments)) for arguments in ((1,), ("x", 1), (1, -1))
        ]

    assert live(lane, wait)[1] == [
        [
            "ResponseError: wrong number of arguments for 'wait' command",
            "ResponseError: value is not an integer or out of range",
            "ResponseError: timeout is negative",
        ]
    ]


@LANES
def test_what_wait_confirmed_survives_and_what_it_did_not_is_lost(lane: str) -> None:
    async def write(place: Place) -> list[Any]:
        client, confirmed = place.client, []
        for number, time in enumerate((8.9, 9.5)):
            await at(place, time)
            async with client.pipeline(transaction=False) as pipe:
                pipe.set(f"k{number}", 1).wait(1, 300)
                confirmed.append(await pipe.execute())
        await at(place, 12)
        return [confirmed, await client.get("k0"), await client.get("k1")]

    assert live(lane, write, faults=[LOSES_A_SECOND])[1] == [[[[True, 1], [True, 0]], b"1", None]]


@LANES
def test_a_wait_that_the_failover_interrupts_is_repeated_with_its_pipeline(lane: str) -> None:
    async def write(place: Place) -> list[Any]:
        await at(place, 9.5)
        async with place.client.pipeline(transaction=False) as pipe:
            pipe.incr("n").wait(1, 3000)
            answer = await pipe.execute()
        return [answer, place.kernel.now > 11, await place.client.get("n")]

    records, results, _ = live(lane, write, faults=[LOSES_A_SECOND])
    assert results == [[[1, 1], True, b"1"]]
    assert [fields[3] for _, fields in of_kind(records, "redis") if fields[1] == "INCRBY"] == [1, 1]


@LANES
def test_wait_is_about_the_writes_of_its_own_connection(lane: str) -> None:
    """As in Redis: on a connection that wrote nothing there is nothing to confirm."""

    async def write(place: Place) -> Any:
        await at(place, 9.5)
        await place.client.set("k", 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await place.client.wait(1, 100)  # takes the connection with it
        confirmed = await place.client.wait(1, 100)
        await at(place, 12)
        return confirmed, await place.client.get("k")

    assert live(lane, write, faults=[LOSES_A_SECOND])[1] == [(1, None)]


@LANES
def test_once_faults_have_stopped_writes_are_confirmed(lane: str) -> None:
    async def write(place: Place) -> Any:
        await at(place, 9.5)
        await place.client.set("k", 1)
        confirmed = await place.client.wait(1, 100)
        await at(place, 12)
        return confirmed, await place.client.get("k")

    def events(kernel: Any, link: Any, hosts: Any) -> None:
        kernel.at(9.2, link.stop_faults)

    assert live(lane, write, faults=[LOSES_A_SECOND], events=events)[1] == [(1, b"1")]


@LANES
def test_a_lock_that_a_failover_lost_is_told(lane: str) -> None:
    async def hold(place: Place) -> None:
        await at(place, 9.5)
        await place.client.set("lock", "token", nx=True, px=60_000)
        await at(place, 20)
        await place.client.delete("lock")

    records, _, _ = live(lane, hold, faults=[LOSES_A_SECOND])
    assert of_kind(records, "lease.lost", "lease.expired") == [(10.0, ("lock", "w1", "delivery-w1"))]
