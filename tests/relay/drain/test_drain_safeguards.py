"""Each safeguard of `drain` that no other test misses when it is taken out: a test for each, at the moment it is made for.

Taken out one by one, each of these fails:

    second accept under another token     the lease that the first one was granted is nobody's until it lapses
    redelivery that does not drain        it gets a lease, and nothing happens under it
    no early second renewal               one unanswered renewal costs a third of the lease more
    work goes on after a lost lease       until its next step, however far off that is
    no look at the lease before a send    what stood still between record and send sends all the same
    no look at the lease before requests  what stood still between two requests sends the next
    any run of ours is adopted            the reply of the run before is sent a second time
    a sweep that takes one conversation   the others wait for as many sweeps
    a look at the own clock that is late  what Redis may have given to another is still used
    what runs answer is apologised for    a clock that went back makes all messages look equally old
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from drain_bench import CONVERSATION, Bench, answer_all, constant

from relaysim.relay.drain.held_lease import HeldLease
from relaysim.relay.drain.store import Inbox, Lease, LeaseLost, Store
from relaysim.relay.telemetry import Telemetry
from relaysim.sim.backends.replies import Failure

LEASE_SECONDS = 10.0


def test_a_lease_whose_granting_was_not_heard_of_is_used_by_the_second_try() -> None:
    with Bench(workers=2, redis_faults=[{"kind": "reply_lost", "command": "accept", "nth": [1]}]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.metric("relay_leases_taken_total", how="accept") == 1
        assert bench.steps("claim") == []
        # The time that a step may take passes once, and then it is as if nothing had happened.
        assert bench.sent[0].at < 2.0 + 9.0


def test_a_redelivery_that_gets_the_lease_is_answered() -> None:
    with Bench(workers=2, serves=False) as bench:
        bench.say(0.0, "m1")
        bench.at(0.1, bench.crash, 1)
        bench.say_again(LEASE_SECONDS + 1.0, "m1", worker=2)
        bench.run(40)
        assert [sent.worker for sent in bench.sent] == ["w2"]
        assert bench.outcomes() == {"m1": "answered"}


def test_a_renewal_that_was_not_answered_is_tried_again_at_once() -> None:
    with Bench(redis_faults=[{"kind": "command_lost", "command": "renew", "nth": [1]}]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        renewed = bench.steps("renew")[0][0]
        assert LEASE_SECONDS / 3 + 2.0 < renewed < LEASE_SECONDS / 3 + 2.0 + 0.3


def test_work_stops_when_a_renewal_says_that_the_lease_is_lost() -> None:
    """Nothing is due until the next look at the run, half a minute later."""
    with Bench(serves=False, settings={"poll_first_seconds": 30.0, "poll_cap_seconds": 30.0}) as bench:
        bench.say(0.0, "m1")

        def give_to_another() -> None:
            del bench.redis.server.dbs[0][f"relay:lease:{CONVERSATION}".encode()]

        bench.at(3.0, give_to_another)
        bench.run(4.0)
        assert bench.metric("relay_leases_lost_total", reason="taken_by_another_worker") == 1
        assert bench.worker(1).relay._drains == {}


def test_a_lease_is_over_as_soon_as_the_own_clock_says_so() -> None:
    async def look() -> None:
        now = asyncio.get_running_loop().time()
        held = HeldLease(Lease("c", 1, "t", now + 60.0), cast(Store, None), LEASE_SECONDS, Telemetry())
        held.check()
        held.lease = replace(held.lease, valid_until=now)
        with pytest.raises(LeaseLost):
            held.check()

    asyncio.run(look())


def test_a_worker_that_stands_still_between_the_record_and_the_sending_does_not_send() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.when("redis", "begin_send", lambda: bench.worker(1).host.pause(2 * LEASE_SECONDS), worker="w1")
        bench.run(60)
        assert bench.sent == []
        assert bench.outcomes() == {"m1": "unknown"}


@pytest.mark.parametrize("begins", [3.0, 4.6])
def test_a_worker_that_stands_still_between_two_requests_sends_none_when_it_wakes(begins: float) -> None:
    with Bench(workers=2, profile={"run_seconds": {"kind": "constant", "value": 40.0}}) as bench:
        bench.say(0.0, "m1")
        bench.at(begins, bench.worker(1).host.pause, 2 * LEASE_SECONDS)
        bench.run(40)
        assert [request for request in bench.requests(worker="w1") if request.at > begins] == []


def test_a_creation_that_was_lost_is_not_taken_for_the_run_before_it() -> None:
    with Bench(faults=[{"kind": "request_lost", "route": "runs.create", "nth": [2]}]) as bench:
        bench.say(0.0, "m1")
        bench.say(20.0, "m2")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1", "Answer to: question m2"]
        assert bench.metric("relay_runs_adopted_total") == 0


def test_one_sweep_takes_over_all_that_a_dead_worker_left() -> None:
    names = [f"customer {number}" for number in range(4)]
    with Bench(workers=2) as bench:
        for name in names:
            bench.say(0.0, f"m of {name}", conversation=name)
        bench.at(2.0, bench.crash, 1)
        bench.run(30)
        claims = [at for at, _, _ in bench.steps("claim", "w2")]
        assert len(claims) == len(names)
        assert claims[-1] - claims[0] < 0.1
        assert set(bench.outcomes().values()) == {"answered"}


def test_a_clock_that_went_back_ends_nothing_that_a_run_answers() -> None:
    """After a failover the clock is another server's, and by one that is behind all messages have just come.

    Otherwise it makes no difference that an apology leaves out what a run is answering (`_apologise`): what is within its
    span was in the span of `_give_up` too, and every other apology is for the whole batch.
    """
    with Bench(
        replies=lambda turn: Failure() if turn.number == 1 else answer_all(turn),
        profile={"run_seconds": constant(20.0)},
        settings={"deadline_seconds": 40.0},
    ) as bench:
        store = bench.worker(1).relay._store
        read = store.inbox
        looks = []

        async def inbox(lease: Lease) -> Inbox:
            found = await read(lease)
            if not 40.0 <= bench.kernel.now < 41.0 or looks.append(bench.kernel.now) or len(looks) != 2:
                return found
            return replace(found, entries=tuple(replace(entry, age_seconds=0.0) for entry in found.entries))

        store.inbox = inbox  # type: ignore[method-assign]
        bench.say(0.0, "m1")
        bench.say(16.0, "m2")  # joins the second run
        bench.run(60)
        assert bench.outcomes() == {"m1": "friendly_apology", "m2": "answered"}
