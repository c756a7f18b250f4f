"""Relays that serve, the ledger, the phase without faults, and when a world has come to rest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import ValidationError
from world_bench import run, settings, told

from relaysim.sim.world import Session
from relaysim.sim.world.audit import AuditError

pytestmark = pytest.mark.usefixtures("one_session")


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    with Session():
        yield


def test_a_relay_that_serves_is_served_on_each_worker_until_nothing_happens_any_more() -> None:
    result = run(settings("world_relays:queue", workers=3, relay={"runs": False}))
    assert {record[1] for record in told(result, "redis") if record[4] == "LRANGE"} == {"w1", "w2", "w3"}
    (received,) = told(result, "received")
    # It looks into Redis once a second, and two minutes of nothing else are the end.
    assert received[0] + 118 < result.observation["virtual_seconds"] <= received[0] + 121


def test_a_relay_that_serves_has_its_ledger_read() -> None:
    made = settings(
        "world_relays:queue", 1.0, 2.0, relay={"runs": False}, send_faults=[{"kind": "refused", "nth": [2]}]
    )
    with Session() as session:
        from relaysim.sim.world import World

        world = World(made, 7, 0, "direct")
        session.run(world)
    assert world.ledger == {"c1.m1": "answered", "c1.m2": "failed SendRefused"}


def test_the_ledger_is_what_the_world_left_when_it_was_cut_off() -> None:
    """Nobody works on while it is read: what was under way at the end stays open."""
    from relaysim.sim.world import World

    with Session() as session:
        world = World(settings("world_relays:queue", limit_seconds=3.0), 7, 0, "direct")
        session.run(world)
        assert world.ledger == {"c1.m1": None}
        events = len(world.kernel.trace.records)
        assert world.kernel.trace.records[events - 1].time <= 3.0


def test_a_relay_without_ledger_or_serve_lives_as_it_always_did() -> None:
    from relaysim.sim.world import World

    with Session() as session:
        world = World(settings("relaysim.relay:cancel_and_retry"), 7, 0, "direct")
        session.run(world)
    assert world.ledger is None


@pytest.mark.parametrize(("broken", "lines"), [("raises", 2), ("returns", 0)])
def test_a_serve_that_ends_does_not_end_the_worker(broken: str, lines: int) -> None:
    result = run(settings("world_relays:queue", relay={"broken": broken}))
    said = [record[5] for record in told(result, "log")]
    assert said == ["serve raised LookupError: nothing to serve"] * lines
    assert [record[-1] for record in told(result, "handling.end")] == [None]  # the class of what it raised


def test_an_audit_that_does_not_end_is_an_error() -> None:
    with pytest.raises(AuditError, match="outcome_of has not returned for 600 s"):
        run(settings("world_relays:silent"))


def test_when_faults_stop_everything_is_well() -> None:
    """Dead workers start, pauses and delays end, clocks are right, Redis is back, and nothing else goes wrong."""
    made = settings(
        "world_relays:queue",
        1.0,
        20.0,
        *(float(second) for second in range(31, 36)),
        workers=4,
        relay={"runs": False},
        workload={"redeliver_seconds": 3.0},
        liveness={"faults_stop_seconds": 30.0, "settle_seconds": 20.0},
        faults=[{"kind": "status", "status": 500}],
        host_faults=[
            {"kind": "crash", "at_seconds": 2.0, "workers": [1]},
            {"kind": "pause", "at_seconds": 3.0, "seconds": 500.0, "workers": [2]},
            {"kind": "slow", "at_seconds": 4.0, "delay_seconds": 0.5, "workers": [3]},
            {"kind": "skew", "at_seconds": 5.0, "seconds": 60.0, "workers": [4]},
            {"kind": "crash", "at_seconds": 31.0, "workers": [4]},
        ],
        redis_faults=[{"kind": "away", "at_seconds": 10.0, "seconds": 300.0}],
        webhook_faults=[{"kind": "late", "seconds": 0.5}],
        send_faults=[{"kind": "refused"}],
    )
    result = run(made)
    late = [record for record in told(result, "webhook.late") if record[0] >= 30]
    refused = [record for record in told(result, "send.fate") if record[0] >= 30 and record[-1] != "delivered"]
    assert (late, refused) == ([], [])
    assert told(
        result, "host.crash", "host.pause", "host.resume", "host.slow", "host.skew", "host.restart", "redis.back"
    ) == [
        (2.0, "w1", "host.crash"),
        (3.0, "w2", "host.pause", 27.0),
        (4.0, "w3", "host.slow", 26.0),
        (5.0, "w4", "host.skew", 60.0),
        (30.0, "redis", "redis.back", "away"),
        (30.0, "w1", "host.restart"),
        (30.0, "w4", "host.skew", 0.0),
        (30.0, "w2", "host.resume"),
    ]
    assert result.observation["fault_hits"]["host_faults"] == [1, 1, 1, 1, 0]
    received = [record[-1] for record in told(result, "received")]
    assert set(received) >= {f"Got c1.m{number}" for number in range(2, 8)}
    last = max(record[0] for record in told(result, "received"))
    assert last < result.observation["virtual_seconds"] <= last + 21


def test_a_world_is_not_at_rest_while_somebody_will_still_write_or_come_back() -> None:
    """Nothing happens for 300 s, far longer than it takes to settle."""
    made = settings(
        "world_relays:queue",
        1.0,
        300.0,
        workers=1,
        relay={"runs": False},
        workload={"redeliver_seconds": 2.0},
        host_faults=[{"kind": "crash", "on": "handling.end", "nth": [2], "seconds": 400.0}],
    )
    result = run(made)
    assert [record[2] for record in told(result, "host.crash", "host.restart")] == ["host.crash", "host.restart"]
    assert [record[-1] for record in told(result, "received")] == ["Got c1.m1", "Got c1.m2"]


def test_faults_must_stop_before_the_world_does() -> None:
    with pytest.raises(
        ValidationError, match="faults_stop_seconds is 100, but the world is cut off at limit_seconds = 90"
    ):
        settings("world_relays:sender", liveness={"faults_stop_seconds": 100.0}, limit_seconds=90.0)
