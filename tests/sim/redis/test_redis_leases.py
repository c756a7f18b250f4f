"""Watched leases: the trace says who holds which and when, whatever command or script did it."""

from __future__ import annotations

import asyncio
from typing import Any

from redis_world import LANES, Place, fault, live, of_kind

CLAIM = "-- claim\nreturn redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])"
RENEW = "-- renew\nif redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end"
RELEASE = "-- release\nif redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"

PREFIX = "relay:lease:"
KINDS = ("lease.taken", "lease.released", "lease.gone", "lease.back")


def told(records: Any) -> list[tuple[float, str, tuple[Any, ...]]]:
    """The trace's records of leases, to the tenth of a second."""
    return [(round(record.time, 1), record.kind, record.fields) for record in records if record.kind in KINDS]


@LANES
def test_a_lease_is_taken_renewed_and_released_by_scripts(lane: str) -> None:
    async def hold(place: Place) -> list[Any]:
        client, key, holders = place.client, PREFIX + "c1", []
        holders.append(place.link.holder("c1"))
        await client.eval(CLAIM, 1, key, "t", 1000)
        for _ in range(4):
            await asyncio.sleep(0.5)
            await client.eval(RENEW, 1, key, "t", 1000)
            holders.append(place.link.holder("c1"))
        await client.eval(RELEASE, 1, key, "t")
        holders.append(place.link.holder("c1"))
        return holders

    records, results, _ = live(lane, hold, watched=f"{PREFIX}{{conversation}}")
    assert told(records) == [(0.0, "lease.taken", ("c1", "w1")), (2.0, "lease.released", ("c1", "w1"))]
    assert results == [[None, "w1", "w1", "w1", "w1", None]]


@LANES
def test_a_lease_that_runs_out_is_told_when_it_does(lane: str) -> None:
    async def hold(place: Place) -> None:
        await place.client.eval(CLAIM, 1, PREFIX + "c1", "t", 1000)
        await asyncio.sleep(0.5)
        await place.client.eval(RENEW, 1, PREFIX + "c1", "t", 1500)
        await asyncio.sleep(10)

    def events(kernel: Any, link: Any, hosts: Any) -> None:
        for time in (1.9, 2.1):
            kernel.at(time, lambda: seen.append(link.holder("c1")))

    seen: list[Any] = []
    records, _, _ = live(lane, hold, watched=f"{PREFIX}{{conversation}}", events=events)
    assert told(records) == [(0.0, "lease.taken", ("c1", "w1")), (2.0, "lease.gone", ("c1", "w1", "expired"))]
    (gone,) = of_kind(records, "lease.gone")
    assert 2.0 < gone[0] < 2.01
    assert seen == ["w1", None]


@LANES
def test_a_lease_made_shorter_runs_out_earlier(lane: str) -> None:
    async def hold(place: Place) -> None:
        await place.client.eval(CLAIM, 1, PREFIX + "c1", "t", 60_000)
        await place.client.eval(RENEW, 1, PREFIX + "c1", "t", 300)
        await asyncio.sleep(10)

    records, _, _ = live(lane, hold, watched=f"{PREFIX}{{conversation}}")
    assert told(records)[1:] == [(0.3, "lease.gone", ("c1", "w1", "expired"))]


@LANES
def test_the_next_holder_comes_after_the_last_one_is_gone(lane: str) -> None:
    async def hold(place: Place) -> None:
        await place.client.eval(CLAIM, 1, PREFIX + "c1", place.host.name, 1000)
        await asyncio.sleep(10)

    async def want(place: Place) -> None:
        await asyncio.sleep(0.01)
        while not await place.client.eval(CLAIM, 1, PREFIX + "c1", place.host.name, 1000):
            await asyncio.sleep(0.001)

    records, _, _ = live(lane, hold, want, watched=f"{PREFIX}{{conversation}}")
    assert told(records)[:3] == [
        (0.0, "lease.taken", ("c1", "w1")),
        (1.0, "lease.gone", ("c1", "w1", "expired")),
        (1.0, "lease.taken", ("c1", "w2")),
    ]


@LANES
def test_a_lease_taken_away_by_another_is_lost(lane: str) -> None:
    async def hold(place: Place) -> None:
        for conversation in ("c1", "c2"):
            await place.client.eval(CLAIM, 1, PREFIX + conversation, "t", 60_000)

    async def rob(place: Place) -> None:
        await asyncio.sleep(1)
        await place.client.delete(PREFIX + "c1")
        await place.client.set(PREFIX + "c2", "other", px=60_000)
        await place.client.delete(PREFIX + "c2")

    records, _, _ = live(lane, hold, rob, watched=f"{PREFIX}{{conversation}}")
    assert told(records)[2:] == [
        (1.0, "lease.gone", ("c1", "w1", "lost")),
        (1.0, "lease.gone", ("c2", "w1", "lost")),
        (1.0, "lease.taken", ("c2", "w2")),
        (1.0, "lease.released", ("c2", "w2")),
    ]


@LANES
def test_a_lease_that_went_unseen_is_gone_before_its_holder_looks(lane: str) -> None:
    async def hold(place: Place) -> None:
        await place.client.eval(CLAIM, 1, PREFIX + "c1", "t", 60_000)
        await asyncio.sleep(2)
        await place.client.get(PREFIX + "c1")

    async def rob(place: Place) -> None:
        await asyncio.sleep(1)
        await place.client.delete("other", PREFIX + "c1")  # only the first key of a command is looked at

    records, _, _ = live(lane, hold, rob, watched=f"{PREFIX}{{conversation}}")
    assert told(records)[1:] == [(2.0, "lease.gone", ("c1", "w1", "lost"))]


@LANES
def test_a_failover_loses_leases_and_brings_released_ones_back(lane: str) -> None:
    async def hold(place: Place) -> None:
        client = place.client
        await client.eval(CLAIM, 1, PREFIX + "kept", "t1", 60_000)
        await client.eval(CLAIM, 1, PREFIX + "released", "t2", 12_000)
        await asyncio.sleep(9.5)
        await client.eval(CLAIM, 1, PREFIX + "new", "t3", 60_000)
        await client.eval(RELEASE, 1, PREFIX + "released", "t2")

    def events(kernel: Any, link: Any, hosts: Any) -> None:
        kernel.at(10.5, lambda: seen.extend(link.holder(name) for name in ("kept", "released", "new")))

    seen: list[Any] = []
    faults = [fault(kind="failover", at_seconds=10, seconds=1, lost_seconds=1)]
    records, _, _ = live(lane, hold, watched=f"{PREFIX}{{conversation}}", faults=faults, events=events)
    assert told(records)[2:] == [
        (9.5, "lease.taken", ("new", "w1")),
        (9.5, "lease.released", ("released", "w1")),
        (10.0, "lease.gone", ("new", "w1", "lost")),
        (10.0, "lease.back", ("released", "w1")),
        (12.0, "lease.gone", ("released", "w1", "expired")),
        (60.0, "lease.gone", ("kept", "w1", "expired")),
    ]
    assert seen == ["w1", "w1", None]


@LANES
def test_other_keys_are_not_watched_and_no_token_is_told(lane: str) -> None:
    async def hold(place: Place) -> None:
        await place.client.set("lock", "secret", nx=True, px=1000)
        await place.client.eval(CLAIM, 1, PREFIX + "c1", "secret", 1000)

    records, _, _ = live(lane, hold, watched=f"{PREFIX}{{conversation}}")
    assert [fields for _, _, fields in told(records)] == [("c1", "w1"), ("c1", "w1", "expired")]
    assert "secret" not in repr(records)
    assert live(lane, hold)[2].holder("c1") is None


def expired(records: Any) -> list[tuple[float, tuple[Any, ...]]]:
    return [(round(time, 1), fields) for time, fields in of_kind(records, "lease.expired")]


@LANES
def test_a_key_that_nobody_releases_or_extends_is_no_lock(lane: str) -> None:
    async def mark(place: Place) -> None:
        await place.client.set("seen:c1.m1", "1", nx=True, ex=1)
        await place.client.set("thread:c1", "t", nx=True, ex=1)
        await place.client.get("thread:c1")
        await place.client.eval("return redis.call('get', KEYS[1])", 1, "thread:c1")
        await asyncio.sleep(3)

    assert expired(live(lane, mark)[0]) == []
    declared = live(lane, mark, watched="seen:{conversation}")[0]
    assert expired(declared) == [(1.0, ("seen:c1.m1", "w1", "delivery-w1"))]


@LANES
def test_a_lock_is_known_by_what_is_done_with_another_of_its_form(lane: str) -> None:
    async def lose(place: Place) -> None:
        await place.client.set("lock:c1", "t1", nx=True, px=1000)
        await asyncio.sleep(9)

    async def release(place: Place) -> None:
        await asyncio.sleep(2)
        await place.client.set("lock:c2", "t2", nx=True, px=1000)
        await place.client.eval(RELEASE, 1, "lock:c2", "t2")

    records = live(lane, lose, release)[0]
    assert expired(records) == [(1.0, ("lock:c1", "w1", "delivery-w1"))]
    assert [record.time for record in records] == sorted(record.time for record in records)


@LANES
def test_outside_of_a_handling_a_lock_was_relied_on_by_whoever_tries_to_release_it(lane: str) -> None:
    """Work in `serve`, and in a task after the acknowledgement."""

    async def work(place: Place) -> None:
        for name, seconds in (("kept", 0.5), ("lost", 3.0)):
            await place.client.set(f"lock:{name}", name, nx=True, px=1000)
            await asyncio.sleep(seconds)
            await place.client.eval(RELEASE, 1, f"lock:{name}", name)

    async def take_again(place: Place) -> None:
        """Its own lock has run out before, unused; what it releases is the next one."""
        await place.client.set("lock:idle", "one", nx=True, px=1000)
        await asyncio.sleep(5)
        await place.client.set("lock:idle", "two", nx=True, px=1000)
        await place.client.delete("lock:idle")

    records = live(lane, work, take_again, is_handled=lambda delivery: False)[0]
    assert expired(records) == [(1.5, ("lock:lost", "w1", "delivery-w1"))]
