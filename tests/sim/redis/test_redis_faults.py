"""A server that is slow, away, restarted or losing packets: redis-py goes through it alike in both lanes."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import redis.asyncio
from pydantic import ValidationError
from redis.exceptions import NoScriptError
from redis_world import LANES, Place, fault, live, of_kind, outcome

from relaysim.sim.kernel import Record

pytestmark = pytest.mark.usefixtures("one_session")

REFUSED = "ConnectionError: Error 111 connecting to localhost:6379. Connect call failed ('127.0.0.1', 6379)."

KINDS: dict[str, dict[str, Any]] = {
    "slow": {
        "kind": "slow",
        "at_seconds": 0.5,
        "seconds": 3,
        "delay_seconds": {"kind": "uniform", "low": 0, "high": 0.5},
    },
    "too slow": {"kind": "slow", "at_seconds": 0.5, "seconds": 3, "delay_seconds": 6},
    "away": {"kind": "away", "at_seconds": 0.5, "seconds": 2},
    "away for long": {"kind": "away", "at_seconds": 0.5, "seconds": 30},
    "away with a command": {"kind": "away", "nth": [5, 30], "seconds": 1},
    "restart": {"kind": "restart", "at_seconds": 1, "seconds": 0.4},
    "restart with loss": {"kind": "restart", "at_seconds": 1, "seconds": 0.4, "lost_seconds": 0.5},
    "failover": {"kind": "failover", "at_seconds": {"kind": "uniform", "low": 0, "high": 2}, "seconds": 1, "times": 3},
    "failover with loss": {"kind": "failover", "at_seconds": 1, "seconds": 1, "lost_seconds": 1},
    "failover with a command": {"kind": "failover", "command": "bump", "nth": [3], "seconds": 1, "lost_seconds": 1},
    "reply_lost": {"kind": "reply_lost", "probability": 0.1},
    "command_lost": {"kind": "command_lost", "probability": 0.1},
    "command_late": {
        "kind": "command_late",
        "probability": 0.1,
        "seconds": {"kind": "uniform", "low": 0.01, "high": 7},
    },
    "all replies lost": {"kind": "reply_lost", "window_seconds": [0.2, 40]},
}

BUMP = "-- bump\nreturn redis.call('incr', KEYS[1])"


async def busy(place: Place) -> list[Any]:
    """Whatever relays do with Redis, for some time: scripts, single commands, several at once, and giving up."""
    client, got = place.client, []
    bump = client.register_script(BUMP)
    for round_number in range(12):
        got.append(await outcome(bump(keys=["n"])))
        got.append(await outcome(client.set(f"lock-{round_number}", place.host.name, nx=True, px=500)))
        try:
            async with asyncio.timeout(0.3):
                await client.get("n")
        except (TimeoutError, redis.asyncio.RedisError) as error:
            got.append(type(error).__name__)
        got += await asyncio.gather(*(outcome(client.incr(f"m{number}")) for number in range(3)))
        async with client.pipeline(transaction=False) as pipe:
            pipe.incr("p").wait(1, 100)
            got.append(await outcome(pipe.execute()))
        await asyncio.sleep(0.1)
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_both_lanes_leave_the_same_trace(kind: str) -> None:
    for seed in range(3):
        faults = [fault(**KINDS[kind])]
        sdk = live("sdk", busy, busy, faults=faults, seed=seed)
        direct = live("direct", busy, busy, faults=faults, seed=seed)
        assert direct[0] == sdk[0]
        assert direct[1] == sdk[1]
        assert direct[2].outages == sdk[2].outages
        assert direct[2].faults.fired == sdk[2].faults.fired
        assert sdk[2].faults.fired[0] > 0


def test_both_lanes_leave_the_same_trace_under_all_faults_together() -> None:
    for seed in range(4):
        order = list(KINDS)
        random.Random(seed).shuffle(order)
        faults = [fault(**KINDS[kind]) for kind in order if kind != "all replies lost"]
        sdk = live("sdk", busy, busy, busy, faults=faults, seed=seed)
        direct = live("direct", busy, busy, busy, faults=faults, seed=seed)
        assert direct[:2] == sdk[:2]


def test_the_pauses_between_repetitions_are_the_same_draws_in_both_lanes() -> None:
    async def knock(place: Place) -> list[float]:
        await outcome(place.client.get("k"))
        return [random.random() for _ in range(3)]

    faults = [fault(kind="away", at_seconds=0, seconds=60)]
    sdk, direct = (live(lane, knock, faults=faults) for lane in ("sdk", "direct"))
    untouched = live("direct", knock)
    assert sdk[1] == direct[1]
    assert sdk[1] != untouched[1]


# Gone for a while


@LANES
def test_a_command_in_flight_is_reset_and_repeated_until_the_server_is_back(lane: str) -> None:
    async def increase(place: Place) -> tuple[Any, float, list[tuple[float, float]]]:
        await asyncio.sleep(0.9999)
        value = await place.client.incr("n")
        return value, place.kernel.now, place.link.outages

    records, results, _ = live(lane, increase, faults=[fault(kind="away", at_seconds=1, seconds=0.5)])
    ((value, time, outages),) = results
    assert value == 1
    assert 1.5 < time < 2.5
    assert outages == [(1.0, 1.5)]
    assert of_kind(records, "redis.fault", "redis.back") == [(1.0, ("away", "", "")), (1.5, ("away",))]
    assert len(of_kind(records, "redis")) == 1


@LANES
def test_against_a_server_that_stays_away_redis_py_gives_up_after_ten_repetitions(lane: str) -> None:
    async def get(place: Place) -> tuple[Any, float]:
        await place.client.get("k")
        await asyncio.sleep(1)
        began = place.kernel.now
        return await outcome(place.client.get("k")), place.kernel.now - began

    _, results, link = live(lane, get, faults=[fault(kind="away", at_seconds=1, seconds=60)])
    ((error, seconds),) = results
    assert error == REFUSED
    assert 1.0 < seconds < 5.2
    assert link.kernel.draws.next_index("w1", "redis connect") == 10


@LANES
def test_a_command_sent_while_the_server_is_away_fails_without_being_processed(lane: str) -> None:
    async def give_up(place: Place) -> tuple[Any, Any]:
        await place.client.set("n", 1)
        await asyncio.sleep(0.1)
        place.client.set_retry(redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0))
        first = await outcome(place.client.incr("n"))
        await asyncio.sleep(1)
        return first, await place.client.get("n")

    _, results, _ = live(lane, give_up, faults=[fault(kind="away", at_seconds=0.05, seconds=0.5)])
    assert results == [("ConnectionError: Connection closed by server.", b"1")]


@LANES
def test_connections_made_before_an_outage_are_gone_after_it(lane: str) -> None:
    async def use(place: Place) -> list[Any]:
        await asyncio.gather(*(place.client.incr("n") for _ in range(3)))
        await asyncio.sleep(1)
        began = place.kernel.now
        value = await place.client.incr("n")
        return [value, place.kernel.now - began > 0.002]  # reset, a pause, a connection, and only then the command

    _, results, _ = live(lane, use, faults=[fault(kind="away", at_seconds=0.5, seconds=0.1)])
    assert results == [[4, True]]


@LANES
def test_the_command_with_which_an_outage_begins_is_not_processed(lane: str) -> None:
    async def write(place: Place) -> list[Any]:
        first = await place.client.incr("n")
        return [first, await place.client.incr("n")]

    records, results, link = live(lane, write, faults=[fault(kind="away", command="INCR*", nth=[2], seconds=0.2)])
    assert results == [[1, 2]]
    assert [fields[:2] for _, fields in of_kind(records, "redis.fault")] == [("away", "INCRBY")]
    assert link.faults.fired == [1]


@LANES
def test_outages_that_overlap_are_one(lane: str) -> None:
    faults = [
        fault(kind="away", at_seconds=1, seconds=2),
        fault(kind="restart", at_seconds=2, seconds=3),
        fault(kind="away", at_seconds=9, seconds=1),
    ]

    async def nothing(place: Place) -> None:
        await place.client.get("k")

    records, _, link = live(lane, nothing, faults=faults)
    assert link.outages == [(1.0, 5.0), (9.0, 10.0)]
    assert of_kind(records, "redis.back") == [(5.0, ("restart",)), (10.0, ("away",))]


@LANES
@pytest.mark.parametrize("kind", ["restart", "failover"])
def test_a_server_that_comes_back_keeps_its_data_and_forgets_its_scripts(lane: str, kind: str) -> None:
    async def run(place: Place) -> list[Any]:
        client = place.client
        sha = await client.script_load(BUMP)
        await client.evalsha(sha, 1, "n")
        await asyncio.sleep(1)
        with pytest.raises(NoScriptError):
            await client.evalsha(sha, 1, "n")
        return [await client.eval(BUMP, 1, "n"), await client.evalsha(sha, 1, "n")]

    records, results, _ = live(lane, run, faults=[fault(kind=kind, at_seconds=0.5, seconds=0.1)])
    assert results == [[2, 3]]
    named = [fields[1:] for _, fields in of_kind(records, "redis")]
    assert named == [
        ("SCRIPT", "LOAD", "40 bytes"),
        ("bump", "n", 1),
        ("bump", "n", "error NoScriptError"),
        ("bump", "n", 2),
        ("bump", "n", 3),
    ]


@LANES
def test_a_server_that_was_only_away_keeps_its_scripts(lane: str) -> None:
    async def run(place: Place) -> Any:
        sha = await place.client.script_load(BUMP)
        await asyncio.sleep(1)
        return await place.client.evalsha(sha, 1, "n")

    assert live(lane, run, faults=[fault(kind="away", at_seconds=0.5, seconds=0.1)])[1] == [1]


# Single commands


@LANES
def test_a_lost_reply_is_a_timeout_after_five_seconds_and_the_command_is_repeated(lane: str) -> None:
    async def increase(place: Place) -> tuple[Any, float]:
        return await place.client.incr("n"), place.kernel.now

    records, results, link = live(lane, increase, faults=[fault(kind="reply_lost", nth=[1])])
    ((value, time),) = results
    assert value == 2  # processed twice
    assert 5.0 < time < 5.05
    assert link.faults.fired == [1]
    assert [fields for _, fields in of_kind(records, "redis.fault")] == [("reply_lost", "INCRBY", "n")]
    assert [fields[3] for _, fields in of_kind(records, "redis")] == [1, 2]


@LANES
def test_a_lost_command_is_never_processed(lane: str) -> None:
    async def increase(place: Place) -> tuple[Any, float]:
        return await place.client.incr("n"), place.kernel.now

    records, results, _ = live(lane, increase, faults=[fault(kind="command_lost", nth=[1])])
    ((value, time),) = results
    assert value == 1
    assert 5.0 < time < 5.05
    assert len(of_kind(records, "redis")) == 1


@LANES
def test_a_late_command_is_processed_though_its_sender_gave_it_up_and_went_on(lane: str) -> None:
    """What was set first lands last: a step that was overtaken, as only a number that it carries could tell."""

    async def write(place: Place) -> tuple[list[str], Any]:
        got = []
        for value in ("first", "second"):
            try:
                async with asyncio.timeout(2):
                    await place.client.set("k", value)
            except TimeoutError:
                got.append(value)
        await asyncio.sleep(6)
        return got, await place.client.get("k")

    records, results, _ = live(lane, write, faults=[fault(kind="command_late", nth=[1], seconds=4)])
    assert results == [(["first"], b"first")]
    assert [fields for _, fields in of_kind(records, "redis.fault", "redis.back")] == [
        ("command_late", "SET", "k"),
        ("command_late",),
    ]


@LANES
def test_a_late_command_that_would_wait_for_data_waits_for_nobody(lane: str) -> None:
    async def take(place: Place) -> Any:
        try:
            async with asyncio.timeout(1):
                await place.client.blpop(["jobs"], timeout=20)
        except TimeoutError:
            pass
        await asyncio.sleep(5)
        await place.client.rpush("jobs", "one")
        return await place.client.llen("jobs")

    _, results, _ = live(lane, take, faults=[fault(kind="command_late", command="BLPOP", nth=[1], seconds=3)])
    assert results == [1]


@LANES
def test_a_minute_without_replies_ends_in_redis_pys_timeout(lane: str) -> None:
    async def increase(place: Place) -> tuple[Any, float]:
        return await outcome(place.client.incr("n")), place.kernel.now

    records, results, _ = live(lane, increase, faults=[fault(kind="reply_lost")])
    ((error, time),) = results
    assert error == "TimeoutError: Timeout reading from localhost:6379"
    assert 56 < time < 61
    assert [fields[3] for _, fields in of_kind(records, "redis")] == list(range(1, 12))


@LANES
def test_a_pipeline_is_lost_as_a_whole(lane: str) -> None:
    async def write(place: Place) -> Any:
        async with place.client.pipeline(transaction=False) as pipe:
            pipe.incr("a").set("b", 1).incr("c")
            return await pipe.execute()

    for kind, again in (("command_lost", 1), ("reply_lost", 2)):
        records, results, link = live(lane, write, faults=[fault(kind=kind, command="SET", nth=[1])])
        assert results == [[again, True, again]]
        assert link.faults.fired == [1]
        assert [fields for _, fields in of_kind(records, "redis.fault")] == [(kind, "SET", "b")]


def test_faults_of_commands_keep_to_their_pattern_their_numbers_and_their_window() -> None:
    async def write(place: Place) -> None:
        place.client.set_retry(redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0))
        for _ in range(4):
            await outcome(place.client.incr("n"))
            await outcome(place.client.set("k", 1))

    def hit(**fields: Any) -> list[tuple[int, str]]:
        records, _, _ = live("direct", write, faults=[fault(kind="reply_lost", **fields)])
        return [(int(time), fields[1]) for time, fields in of_kind(records, "redis.fault")]

    assert hit(command="SE?", nth=[2, 4]) == [(0, "SET"), (5, "SET")]
    assert hit(command="*", nth=[3]) == [(0, "INCRBY")]
    assert hit(command="INCRBY", window_seconds=[0, 7]) == [(0, "INCRBY"), (5, "INCRBY")]
    assert hit(probability=0.0) == []
    assert hit(command="NONE") == []


# Slow


@LANES
def test_a_slow_server_takes_longer_for_each_command_while_it_is_slow(lane: str) -> None:
    async def measure(place: Place) -> list[float]:
        took = []
        for _ in range(3):
            began = place.kernel.now
            await place.client.incr("n")
            took.append(round(place.kernel.now - began, 1))
            await asyncio.sleep(1)
        return took

    records, results, link = live(
        lane, measure, faults=[fault(kind="slow", at_seconds=0.9, seconds=0.5, delay_seconds=0.7)]
    )
    assert results == [[0.0, 0.7, 0.0]]
    assert link.outages == []
    assert of_kind(records, "redis.fault", "redis.back") == [
        (0.9000005722045898, ("slow", "", "")),
        (1.4000005722045898, ("slow",)),
    ]


@LANES
def test_a_command_that_the_client_gave_up_is_still_processed_by_a_slow_server(lane: str) -> None:
    async def write(place: Place) -> tuple[Any, float]:
        return await place.client.incr("n"), place.kernel.now

    records, results, _ = live(
        lane, write, faults=[fault(kind="slow", command="INCRBY", nth=[1], seconds=1, delay_seconds=8)]
    )
    ((value, time),) = results
    assert value == 1  # the repetition comes first
    assert 5.0 < time < 5.1
    assert [(round(at), fields[3]) for at, fields in of_kind(records, "redis")] == [(5, 1), (8, 2)]


# Giving up


@LANES
def test_a_command_that_was_cancelled_takes_its_connection_with_it(lane: str) -> None:
    async def give_up(place: Place) -> list[Any]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await place.client.incr("n")
        began = place.kernel.now
        value = await place.client.incr("n")
        return [value, round(place.kernel.now - began, 3)]

    faults = [fault(kind="reply_lost", nth=[1])]
    assert live(lane, give_up, faults=faults, spread=0)[1] == [[2, 0.002]]  # one round trip for the connection


@LANES
def test_the_late_timeout_of_a_command_that_was_given_up_does_not_hit_the_next_one(lane: str) -> None:
    async def give_up(place: Place) -> list[Any]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await place.client.incr("n")
        await asyncio.sleep(4.8)
        return [await place.client.incr("n"), place.kernel.now]

    # The second command is under way, over the next connection of the same place in the pool, at 5 s.
    faults = [
        fault(kind="reply_lost", nth=[1]),
        fault(kind="slow", at_seconds=4.5, seconds=0.5, delay_seconds=0.6),
    ]
    ((value, time),) = live(lane, give_up, faults=faults)[1]
    assert value == 2
    assert 5.4 < time < 5.42


def test_commands_of_one_instant_keep_their_order_in_both_lanes_when_one_needs_a_new_connection() -> None:
    async def race(place: Place) -> list[Any]:
        client = place.client
        await asyncio.gather(*(client.get("k") for _ in range(3)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.set("x", 1)
        return await asyncio.gather(*(client.set("winner", number, nx=True) for number in range(3)))

    faults = [fault(kind="reply_lost", command="SET", nth=[1])]
    sdk, direct = (live(lane, race, faults=faults, spread=0) for lane in ("sdk", "direct"))
    assert sdk[1] == [[None, True, None]]  # the first one has to connect
    assert direct[:2] == sdk[:2]


@LANES
def test_a_command_that_a_slow_server_has_not_come_to_is_lost_when_it_goes(lane: str) -> None:
    faults = [
        fault(kind="slow", at_seconds=0, seconds=0.5, delay_seconds=1),
        fault(kind="away", at_seconds=0.6, seconds=0.1),
    ]

    async def write(place: Place) -> Any:
        await asyncio.sleep(0.1)
        return await place.client.incr("n")

    records, results, _ = live(lane, write, faults=faults)
    assert results == [1]
    assert len(of_kind(records, "redis")) == 1


@LANES
def test_only_commands_that_reach_the_server_are_counted(lane: str) -> None:
    faults = [
        fault(kind="away", at_seconds=0.0007, seconds=0.1),
        fault(kind="command_lost", command="INCRBY", nth=[2]),
    ]

    async def write(place: Place) -> list[Any]:
        await asyncio.sleep(0.0005)
        return [await place.client.incr("n"), await place.client.incr("n")]

    records, results, link = live(lane, write, faults=faults, spread=0)
    assert results == [[1, 2]]
    ((time, _),) = of_kind(records, "redis.fault")[1:]
    # The second one, when the first one has its reply.
    assert round(time - of_kind(records, "redis")[0][0], 4) == 0.001
    assert link.faults.fired == [1, 1]


@LANES
def test_what_becomes_of_a_command_does_not_matter_to_a_host_that_has_crashed(lane: str) -> None:
    async def wait(place: Place) -> None:
        place.kernel.at(0.0001, place.host.crash)
        await place.client.incr("n")
        raise AssertionError("a dead host went on")

    async def look(place: Place) -> Any:
        await asyncio.sleep(60)
        return await place.client.get("n")

    for kind in ({"kind": "reply_lost", "nth": [1]}, {"kind": "away", "at_seconds": 0.0002, "seconds": 1}):
        _, results, _ = live(lane, wait, look, faults=[fault(**kind)])
        assert results == ["unfinished", b"1" if kind["kind"] == "reply_lost" else None]


@LANES
def test_a_command_that_waits_for_a_slow_server_is_counted_once(lane: str) -> None:
    faults = [
        fault(kind="slow", at_seconds=0, seconds=60, delay_seconds=0.1),
        fault(kind="command_lost", nth=[2]),
    ]

    async def write(place: Place) -> list[float]:
        times = []
        for _ in range(2):
            await place.client.incr("n")
            times.append(round(place.kernel.now))
        return times

    assert live(lane, write, faults=faults)[1] == [[0, 5]]


@LANES
def test_a_client_gives_up_a_command_that_takes_too_long_to_arrive(lane: str) -> None:
    async def write(place: Place) -> tuple[Any, float]:
        place.client.set_retry(redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0))
        error = await outcome(place.client.incr("n"))
        gave_up = place.kernel.now
        await asyncio.sleep(2)
        return error, gave_up

    off = fault(kind="away", at_seconds=100, seconds=1)
    records, results, _ = live(lane, write, faults=[off], pause_probability=1.0, pause=lambda u: 6.0)
    assert results == [("TimeoutError: Timeout reading from localhost:6379", 5.0)]
    assert [round(time) for time, _ in of_kind(records, "redis")] == [6]


# When faults stop


@LANES
def test_when_faults_stop_the_server_is_there_and_nothing_more_begins(lane: str) -> None:
    faults = [
        fault(kind="away", at_seconds=1, seconds=50),
        fault(kind="slow", at_seconds=1, seconds=50, delay_seconds=1),
        fault(kind="failover", at_seconds=10, seconds=5, lost_seconds=9),
        fault(kind="away", nth=[30], seconds=5),
        fault(kind="reply_lost", window_seconds=[5, 100]),
    ]

    async def write(place: Place) -> list[float]:
        await asyncio.sleep(5)
        took = []
        for _ in range(100):
            began = place.kernel.now
            await place.client.incr("n")
            took.append(place.kernel.now - began)
            await asyncio.sleep(0.1)
        return took

    def events(kernel: Any, link: Any, hosts: Any) -> None:
        kernel.at(4.0, link.stop_faults)

    records, results, link = live(lane, write, faults=faults, events=events)
    assert max(results[0]) < 0.002
    assert link.outages == [(1.0, 4.0)]
    assert link.faults.fired == [1, 1, 0, 0, 0]
    assert of_kind(records, "redis.back") == [(4.0, ("slow",)), (4.0, ("away",))]


# What a scenario may say


def test_how_often_a_fault_begins_is_drawn_for_each_of_its_times() -> None:
    def begun(**fields: Any) -> list[float]:
        async def nothing(place: Place) -> None:
            await place.client.get("k")

        records, _, link = live("direct", nothing, faults=[fault(kind="away", seconds=0.01, **fields)], seed=3)
        times = [time for time, _ in of_kind(records, "redis.fault")]
        assert link.faults.fired == [len(times)]
        return times

    spread = {"kind": "uniform", "low": 0, "high": 1000}
    always = begun(at_seconds=spread, times=40)
    sometimes = begun(at_seconds=spread, times=40, probability=0.5)
    assert len(always) == len(set(always)) == 40
    assert 10 < len(sometimes) < 30
    assert set(sometimes) < set(always)  # a time that is left out moves no other


def test_faults_of_a_world_do_not_move_each_other() -> None:
    spread = fault(kind="away", at_seconds={"kind": "uniform", "low": 0, "high": 9}, seconds=1)

    async def nothing(place: Place) -> None:
        await place.client.get("k")

    def begun(*faults: Any) -> list[float]:
        return [time for time, _ in of_kind(live("direct", nothing, faults=faults)[0], "redis.fault")]

    off = spread.model_copy(update={"probability": 0.0})
    assert len(set(begun(spread, spread))) == 2
    assert begun(off, spread) + begun(spread, off) == sorted(begun(spread, spread), reverse=True)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "away", "at_seconds": 1}, "needs `seconds`"),
        ({"kind": "away", "seconds": 1}, "either `at_seconds` or `nth`"),
        ({"kind": "away", "seconds": 1, "at_seconds": 1, "nth": [1]}, "either `at_seconds` or `nth`"),
        ({"kind": "away", "seconds": 1, "nth": [1], "times": 2}, "leave `times` out"),
        ({"kind": "away", "seconds": 1, "at_seconds": 1, "command": "SET"}, "`command` says what `nth` counts"),
        (
            {"kind": "away", "seconds": 1, "at_seconds": 1, "window_seconds": [0, 1]},
            "`window_seconds` is for faults of single",
        ),
        ({"kind": "away", "seconds": 1, "at_seconds": 1, "lost_seconds": 1}, "`lost_seconds` belongs to kinds"),
        ({"kind": "away", "seconds": 1, "at_seconds": 1, "delay_seconds": 1}, "`delay_seconds` belongs to kind 'slow'"),
        ({"kind": "slow", "seconds": 1, "at_seconds": 1}, "needs `delay_seconds`"),
        ({"kind": "reply_lost", "at_seconds": 1}, "`at_seconds` is for faults that last"),
        ({"kind": "reply_lost", "seconds": 1}, "`seconds` is for faults that last"),
        ({"kind": "command_lost", "times": 2}, "`times` is for faults that last"),
        ({"kind": "command_late"}, "needs `seconds`, how much later"),
        ({"kind": "reply_lost", "lost_seconds": 1}, "`lost_seconds` belongs to kinds"),
        ({"kind": "reply_lost", "nth": []}, "nth counts from 1"),
        ({"kind": "reply_lost", "nth": [0]}, "nth counts from 1"),
        ({"kind": "reply_lost", "window_seconds": [2, 1]}, "the window must begin"),
        ({"kind": "reply_lost", "probability": 1.5}, "less than or equal to 1"),
        ({"kind": "reply_lost", "typo": 1}, "Extra inputs"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_what_to_do(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        fault(**fields)


# Names of scripts


@LANES
def test_a_script_is_called_by_the_name_on_its_first_line(lane: str) -> None:
    scripts = (
        ("-- accept\nreturn 1", "accept"),
        ("--take_over.2\nreturn 1", "take_over.2"),
        ("-- accept the message\nreturn 1", "EVAL"),
        ("\n-- accept\nreturn 1", "EVAL"),
        ("return 1 -- accept", "EVAL"),
        ("--", "EVAL"),
    )

    async def run(place: Place) -> None:
        for script, _ in scripts:
            await outcome(place.client.eval(script, 1, "k"))

    records, _, _ = live(lane, run)
    assert [fields[1] for _, fields in of_kind(records, "redis")] == [name for _, name in scripts]


@LANES
def test_the_name_keys_a_scripts_latency(lane: str) -> None:
    async def run(place: Place) -> None:
        await place.client.eval("-- one\nreturn 1", 1, "k")

    _, _, link = live(lane, run)
    assert link.kernel.draws.next_index("w1", "redis one k") == 1


def test_a_world_without_faults_and_names_is_what_it_was() -> None:
    """Neither the lists of faults nor a watch that finds nothing leave anything in the trace, or draw anything."""

    async def work(place: Place) -> list[Any]:
        await place.client.set("lock", "t", nx=True, px=100)
        await place.client.eval("return redis.call('del', KEYS[1])", 1, "lock")
        return [await place.client.get("lock"), random.random()]

    def kinds(records: list[Record]) -> list[tuple[str, Any]]:
        return [(record.kind, record.fields[1]) for record in records]

    plain = live("direct", work)
    off = live("direct", work, faults=[fault(kind="reply_lost", probability=0.0)], watched="relay:lease:{conversation}")
    assert off[:2] == plain[:2]
    assert kinds(plain[0]) == [("redis", "SET"), ("redis", "EVAL"), ("redis", "GET")]
