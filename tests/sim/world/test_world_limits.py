"""Late is what nothing excuses, and waiting costs nothing; bots that break the limits are in tests/bots."""

from __future__ import annotations

from typing import Any

import pytest

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.kernel import Record
from relaysim.sim.kernel.trace import kind_of
from relaysim.sim.trace.schema import (
    HandlingEnd,
    HandlingStart,
    HostCrash,
    HostRestart,
    MessageSent,
    RedisBack,
    RedisFaultStruck,
    RequestSent,
    RequestServed,
    ResponseReceived,
    RunState,
    TextSent,
)
from relaysim.sim.world.judge.judge_settings import JudgeSettings
from relaysim.sim.world.judge.promises import Promises
from relaysim.sim.world.observe import observe
from relaysim.sim.world.settings import Limits, RelayUnderTest

RELAY = RelayUnderTest(factory="a:b")
THREADS = {"thread_1": "c1"}
WRITTEN: list[tuple[float, str, Any]] = [(0.0, "customer:c1", MessageSent("c1.m1", "c1", "Question [c1.m1]", None))]
HANDED = (0.1, "w1", HandlingStart("c1.m1#1", "c1.m1", 1))


def counts(events: list[tuple[float, str, Any]], **settings: Any) -> dict[str, int]:
    """What a world with these events counts; the settings are the judge's."""
    ordered = sorted(events, key=lambda event: event[0])
    records = [Record(time, who, kind_of(type(event)), event) for time, who, event in ordered]
    promises = JudgeSettings(roles=ROLES, **settings)
    found: dict[str, int] = observe(records, RELAY, THREADS, promises=promises)["counts"]
    return found


def apology(seconds: float, delivery: str = "c1.m1#1", worker: str = "w1") -> tuple[float, str, Any]:
    return seconds, worker, TextSent(delivery, "c1", "Sorry.")


@pytest.mark.parametrize(
    ("promises", "seconds", "late"),
    [
        ({}, 300.1, 0),
        ({}, 300.2, 1),
        ({"deadline_seconds": 10.0}, 10.2, 1),
        ({"deadline_seconds": 400.0}, 400.0, 0),
        ({"poll_seconds": 1.0}, 299.0, 0),
    ],
)
def test_a_deadline_is_the_relays_own_or_else_the_scenarios(
    promises: dict[str, Any], seconds: float, late: int
) -> None:
    found = counts([*WRITTEN, HANDED, apology(seconds)], promises=Promises(**promises))
    assert found["late"] == late


def test_a_disturbance_begins_the_time_anew_and_so_does_the_delivery_after_it() -> None:
    away = [(200.0, "redis", RedisFaultStruck("away", "", "")), (500.0, "redis", RedisBack("away"))]
    assert counts([*WRITTEN, HANDED, *away, apology(799.0)])["late"] == 0
    assert counts([*WRITTEN, HANDED, *away, apology(801.0)])["late"] == 1
    over = [(400.0, "redis", RedisFaultStruck("away", "", "")), (500.0, "redis", RedisBack("away"))]
    assert counts([*WRITTEN, HANDED, *over, apology(501.0)])["late"] == 1  # it was late before that began

    crash = [(1.0, "w1", HostCrash()), (2.0, "w1", HostRestart())]
    again = (600.0, "w2", HandlingStart("c1.m1#2", "c1.m1", 2))
    assert counts([*WRITTEN, HANDED, *crash, again, apology(899.0, "c1.m1#2", "w2")])["late"] == 0
    assert counts([*WRITTEN, HANDED, *crash, again, apology(901.0, "c1.m1#2", "w2")])["late"] == 1
    raised = (1.0, "w1", HandlingEnd("c1.m1#1", None, "ValueError"))
    assert counts([*WRITTEN, HANDED, raised, again, apology(899.0, "c1.m1#2", "w2")])["late"] == 1


def looks(count: int, every: float, *, status: int = 200) -> list[tuple[float, str, Any]]:
    """Looks at the thread's messages, each answered at once."""
    events: list[tuple[float, str, Any]] = []
    for number in range(count):
        at, name = 1.0 + number * every, f"w1#{number}"
        events.append((at, "w1", RequestSent(name, "c1.m1#1", "messages.list", "thread_1", None)))
        events.append((at, "api", RequestServed(name, status, None, 1)))
        events.append((at, "w1", ResponseReceived(name, status, None)))
    return events


BUSY = (0.5, "api", RunState("run_1", "thread_1", "queued", "before#1"))
FREE = (20.0, "api", RunState("run_1", "thread_1", "completed", "time"))


@pytest.mark.parametrize(
    ("events", "over"),
    [
        ([BUSY, *looks(100, 0.5)], 0),  # waits
        ([*looks(1, 0.5), BUSY, *looks(100, 0.5)], 0),  # the first one met nobody
        ([BUSY, FREE, *looks(100, 0.5)], 1),  # 60 of them after the run had ended
        ([BUSY, FREE, *looks(80, 0.5)], 0),  # 40
        ([BUSY, *looks(100, 0.01)], 1),  # faster than anything could have changed
        (looks(51, 0.5), 1),
        (looks(50, 0.5), 0),
        (looks(100, 0.5, status=500), 0),  # they failed
    ],
)
def test_looking_while_a_run_is_active_costs_nothing(events: list[tuple[float, str, Any]], over: int) -> None:
    assert counts([*WRITTEN, HANDED, *events])["over_cost"] == over


def test_the_scenarios_limit_is_for_each_delivery() -> None:
    twice = (0.2, "w2", HandlingStart("c1.m1#2", "c1.m1", 2))
    limits = Limits(requests_per_message=30)
    assert counts([*WRITTEN, HANDED, *looks(60, 0.5)], limits=limits)["over_cost"] == 1
    assert counts([*WRITTEN, HANDED, twice, *looks(60, 0.5)], limits=limits)["over_cost"] == 0
