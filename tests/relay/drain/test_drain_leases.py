"""Leases: lost, lapsed and handed back. Whoever lost one starts nothing more; whoever comes next finishes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import redis.asyncio
from drain_bench import CONVERSATION, Bench, Sent, constant

from relaysim.relay import FRIENDLY_APOLOGY, GENERIC_APOLOGY, InboxUnavailable, Outcome
from relaysim.relay.messages import Handled
from relaysim.sim.backends.replies import Incomplete, ToolCall, ToolCalls

LANES = pytest.mark.parametrize("lane", ["sdk", "direct"])
AWAY = {"kind": "away"}


def starts_after(bench: Bench, worker: str, seconds: float) -> list[str]:
    """What a worker started after a time: requests that change something, and texts."""
    changing = ("runs.create", "runs.cancel", "threads.create")
    requests = [
        request.operation
        for request in bench.requests(worker=worker)
        if request.at > seconds and request.operation in changing
    ]
    return requests + [sent.text for sent in bench.sent if sent.worker == worker and sent.at > seconds]


def test_a_lease_is_renewed_for_as_long_as_its_holder_works() -> None:
    with Bench(workers=2, profile={"run_seconds": constant(35.0)}) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert len(bench.steps("renew", "w1")) >= 35.0 / (10.0 / 3.0) - 1
        assert bench.steps("claim", "w2") == []
        assert {sent.worker for sent in bench.sent} == {"w1"}


@pytest.mark.parametrize("begins", [0.2, 3.0, 5.9, 6.2, 8.0])
@pytest.mark.parametrize("seconds", [11.0, 20.0, 45.0])
def test_a_worker_that_stood_still_for_longer_than_its_lease_starts_nothing(begins: float, seconds: float) -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.at(begins, bench.worker(1).host.pause, seconds)
        bench.run(90)
        assert starts_after(bench, "w1", begins + 10.0) == []
        assert len(bench.sent) == 1
        assert len(bench.runs) == 1
        assert list(bench.outcomes().values()) == ["answered"]
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1"]
        if bench.sent[0].worker == "w2":
            # It wakes up, and notices.
            assert bench.metric("relay_leases_lost_total", reason="not_renewed_in_time") == 1


def test_a_worker_that_stands_still_in_the_middle_of_sending_sends_nothing_again() -> None:
    with Bench(workers=2) as bench:

        async def pause(sent: Sent) -> None:
            bench.worker(1).host.pause(30.0)

        bench.channel = pause
        bench.say(0.0, "m1")
        bench.run(90)
        assert len(bench.sent) == 1
        assert bench.outcomes() == {"m1": "unknown"}


@LANES
def test_renewals_that_fail_end_the_work_before_the_lease_can_be_anothers(lane: Any) -> None:
    """Redis answers nothing to the one worker; it gives up while its lease still stands there."""
    with Bench(workers=2, profile={"run_seconds": constant(15.0)}, lane=lane) as bench:
        bench.say(0.0, "m1")

        def cut_off() -> None:
            async def refuse(*_: object) -> Any:
                raise redis.asyncio.ConnectionError("cut off")

            client: Any = bench.worker(1).relay._store._redis
            client.evalsha = client.eval = client.get = refuse

        bench.at(3.0, cut_off)
        bench.run(60)
        ((claimed, _, _), *_) = bench.steps("claim", "w2")
        last = max(request.at for request in bench.requests(worker="w1"))
        assert last < claimed
        assert bench.texts == ["Answer to: question m1"]
        assert bench.sent[0].worker == "w2"
        assert bench.metric("relay_leases_lost_total", reason="not_renewed_in_time") == 1


def test_a_lease_that_another_worker_holds_ends_the_work_at_the_next_step() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")

        def give_to_another() -> None:
            database = bench.redis.server.dbs[0]
            del database[f"relay:lease:{CONVERSATION}".encode()]

        bench.at(3.0, give_to_another)
        bench.run(60)
        assert len(bench.sent) == 1
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_leases_lost_total", reason="taken_by_another_worker") == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("at", [0.0005, 0.3, 0.55, 0.8, 3.0, 6.1, 7.9])
def test_wherever_a_worker_dies_another_finishes_and_nothing_happens_twice(at: float, seed: int) -> None:
    with Bench(workers=2, seed=seed) as bench:
        bench.say(0.0, "m1")
        bench.at(at, bench.crash, 1)
        bench.run(60)
        if not bench.steps("accept"):
            assert bench.sent == []
            return
        assert len(bench.runs) == 1
        assert len(bench.sent) <= 1
        outcome = bench.outcome("m1")
        assert outcome == "answered" or (outcome == "unknown" and bench.sent[0].worker == "w1")


def test_a_fleet_that_died_goes_on_when_one_worker_is_back() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.say(0.0, "m2", conversation="another customer", worker=2)
        bench.at(2.0, bench.crash, 1)
        bench.at(2.0, bench.crash, 2)
        bench.at(30.0, bench.start, 1)
        bench.run(60)
        assert bench.outcomes() == {"m1": "answered", "m2": "answered"}
        assert len(bench.runs) == 2


# Stopping


def close_worker(bench: Bench, number: int, *, at: float) -> list[float]:
    """Close a worker's relay at that virtual second; the list gets when it was closed."""
    closed: list[float] = []

    async def close() -> None:
        await bench.worker(number).relay.aclose()
        closed.append(bench.kernel.now)

    bench.at(at, lambda: bench.worker(number).host.spawn(close()))
    return closed


@LANES
def test_a_worker_that_stops_hands_its_conversations_back(lane: Any) -> None:
    with Bench(workers=2, lane=lane) as bench:
        bench.say(0.0, "m1")
        stopped = close_worker(bench, 1, at=3.0)
        bench.run(60)
        assert stopped[0] < 3.1
        assert bench.requests(worker="w1")[-1].at <= 3.0
        # A sweep finds it, without waiting for the lease to run out.
        assert bench.steps("claim", "w2")[0][0] < 3.0 + 3.0 + 0.1
        assert len(bench.runs) == 1
        assert bench.texts == ["Answer to: question m1"]


def test_a_worker_stops_also_where_a_library_swallows_its_cancellation() -> None:
    """As `asyncio.wait_for` does before Python 3.12 if what it waits for is done in that instant."""

    class Swallowing:
        def __init__(self, backend: Any) -> None:
            self._backend = backend

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

        async def look(self, *arguments: str) -> Any:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30.0)
            return await self._backend.look(*arguments)

    with Bench(workers=2, backend=Swallowing) as bench:
        bench.say(0.0, "m1")
        stopped = close_worker(bench, 1, at=3.0)
        bench.run(20)
        assert stopped[0] < 3.0 + 1.0 + 0.1
        assert bench.steps("hand_back", "w1")


def test_a_text_that_is_being_sent_when_the_worker_stops_is_recorded() -> None:
    """A deployment is no reason for an outcome that nobody knows."""
    with Bench(workers=2) as bench:

        async def stop(sent: Sent) -> None:
            bench.worker(1).host.spawn(bench.worker(1).relay.aclose())

        bench.channel = stop
        bench.say(0.0, "m1")
        bench.run(60)
        assert len(bench.sent) == 1
        assert bench.outcomes() == {"m1": "answered"}


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003])
def test_a_worker_that_stops_while_it_takes_a_message_in_keeps_no_lease(seconds: float) -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.at(seconds, lambda: bench.worker(1).host.spawn(bench.worker(1).relay.aclose()))
        bench.run(0.1)
        assert bench.redis.holder(CONVERSATION) is None
        bench.run(40)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.sent[0].worker == "w2"


def test_a_worker_that_stops_takes_nothing_up_any_more() -> None:
    with Bench(workers=2) as bench:
        bench.at(0.0, lambda: bench.worker(2).host.spawn(bench.worker(2).relay.aclose()))
        bench.say(1.0, "m1")
        bench.at(2.0, bench.crash, 1)
        bench.run(40)
        assert bench.steps("claim", "w2") == []


# Redis is away


def away(at: float, seconds: float) -> dict[str, Any]:
    return {"kind": "away", "at_seconds": constant(at), "seconds": constant(seconds)}


@LANES
def test_a_message_that_redis_does_not_take_is_not_acknowledged(lane: Any) -> None:
    with Bench(redis_faults=[away(1.0, 30.0)], lane=lane) as bench:
        bench.say(5.0, "m1")
        bench.run(20)
        (delivery,) = bench.deliveries
        assert isinstance(delivery.result, InboxUnavailable)
        assert delivery.ended - delivery.began < 4.1
        bench.say_again(40.0, "m1")
        bench.run(70)
        assert bench.deliveries[-1].result == Handled(None, 0, 0.0, None)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_redis_unavailable_total", step="accept") == 1


def test_a_short_absence_of_redis_costs_nothing_but_time() -> None:
    with Bench(workers=2, redis_faults=[away(3.0, 5.0)]) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.runs) == 1


def test_a_long_absence_of_redis_ends_the_lease_and_a_sweep_goes_on_afterwards() -> None:
    with Bench(workers=2, redis_faults=[away(3.0, 25.0)]) as bench:
        bench.say(0.0, "m1")
        bench.run(80)
        assert starts_after(bench, "w1", 3.0 + 10.0) == [] or bench.steps("claim", "w1")
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.runs) == 1


@LANES
@pytest.mark.parametrize("command", ["accept", "intend", "started", "begin_send", "end", "release", "renew", "inbox"])
@pytest.mark.parametrize("kind", ["reply_lost", "command_lost"])
def test_any_step_may_be_lost_or_its_answer(kind: str, command: str, lane: Any) -> None:
    with Bench(workers=2, redis_faults=[{"kind": kind, "command": command, "nth": [1]}], lane=lane) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}
        assert len(bench.runs) == 1


OPEN = {"when_redis_is_away": "fail_open"}


def test_without_redis_a_message_is_answered_at_once_if_so_wished() -> None:
    with Bench(redis_faults=[away(0.0, 100.0)], settings=OPEN) as bench:
        bench.say(1.0, "m1")
        bench.run(40)
        (delivery,) = bench.deliveries
        assert delivery.result == Handled(Outcome.ANSWERED, 1, 0.0, bench.runs[0]["id"])
        assert bench.texts == ["Answer to: question m1"]
        assert bench.sent[0].ids == (bench.id_of("m1"),)


def test_without_redis_and_without_a_thread_one_is_created() -> None:
    with Bench(redis_faults=[away(0.0, 100.0)], settings=OPEN, threads=False) as bench:
        bench.say(1.0, "m1")
        bench.run(40)
        assert bench.texts == ["Answer to: question m1"]


def test_without_redis_a_creation_of_unknown_fate_is_looked_up_too() -> None:
    with Bench(
        redis_faults=[away(0.0, 100.0)],
        settings=OPEN,
        faults=[{"kind": "response_lost", "route": "runs.create", "nth": [1]}],
    ) as bench:
        bench.say(1.0, "m1")
        bench.run(60)
        assert len(bench.runs) == 1
        assert bench.texts == ["Answer to: question m1"]


def test_without_redis_an_api_that_does_not_answer_ends_in_an_apology() -> None:
    with Bench(
        redis_faults=[away(0.0, 200.0)], settings=OPEN, faults=[{"kind": "status", "status": 503, "route": "*"}]
    ) as bench:
        bench.say(1.0, "m1")
        bench.run(120)
        assert bench.texts == [FRIENDLY_APOLOGY]


def test_without_redis_no_run_is_left_that_waits_for_tools() -> None:
    with Bench(redis_faults=[away(0.0, 100.0)], settings=OPEN, replies=[ToolCalls((ToolCall("lookup"),))]) as bench:
        bench.say(1.0, "m1")
        bench.run(40)
        assert len(bench.sent) == 1
        assert bench.runs[0]["status"] == "cancelled"


def test_without_redis_an_answer_that_was_stopped_for_its_content_is_not_sent_either() -> None:
    replies = [Incomplete("Something", "content_filter")]
    with Bench(redis_faults=[away(0.0, 100.0)], settings=OPEN, replies=replies) as bench:
        bench.say(1.0, "m1")
        bench.run(40)
        assert bench.texts == [GENERIC_APOLOGY]
