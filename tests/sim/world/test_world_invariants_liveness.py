"""L1 to L5: what must happen in time, on traces written by hand, at the very edge of each time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from judged_story import CONFIRMED, PROMISES, SETTINGS, JudgedStory, answered_story

from relaysim.sim.world.invariants import judge
from relaysim.sim.world.judge.promises import Promises, RetryPromise


def count(story: JudgedStory, name: str, **settings: Any) -> int:
    return story.findings(**settings).counts[name]


# L1: an outcome within 90 s


def late_story() -> JudgedStory:
    """A message accepted at 1 s, under way."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=1.0)
    story.ask("runs.list")
    return story


def finish(story: JudgedStory, sent_at: float, worker: str = "w1") -> int:
    """The text leaves; returns the breaches of L1."""
    story.send("c1.m1", at=sent_at, worker=worker)
    story.end("generic_apology", "c1.m1", worker=worker)
    return count(story, "breach_L1")


@pytest.mark.parametrize(("sent_at", "breaches"), [(91.0, 0), (91.001, 1)])
def test_an_outcome_is_due_90_seconds_after_acceptance(sent_at: float, breaches: int) -> None:
    assert finish(late_story(), sent_at) == breaches


@pytest.mark.parametrize(("sent_at", "breaches"), [(140.0, 0), (140.001, 1)])
@pytest.mark.parametrize("what", ["redis", "api", "pause", "slow", "nobody"])
def test_or_after_the_end_of_what_was_wrong(what: str, sent_at: float, breaches: int) -> None:
    """Something is wrong until 50 s."""
    story = late_story()
    if what == "redis":
        story.add("redis", "redis.fault", "away", "", "", at=40.0)
        story.add("redis", "redis.back", "away", at=50.0)
    elif what == "api":
        story.now = 40.0
        request_id = story.leave("runs.retrieve", run="run_a")
        story.now = 50.0
        story.answer(request_id, 0, "ReadTimeout")
    elif what == "pause":
        story.add("w1", "host.pause", 10.0, at=40.0)
        story.add("w1", "host.resume", at=50.0)
    elif what == "slow":
        story.add("w1", "host.slow", 10.0, at=40.0)
    else:
        story.gone(at=20.0)
        story.add("w1", "host.crash", at=30.0)
        story.add("w1", "host.restart", at=50.0)
        story.take("c1", "w1", at=55.0)
    assert finish(story, sent_at) == breaches


@pytest.mark.parametrize(("sent_at", "breaches"), [(130.0, 0), (130.001, 1)])
def test_a_holders_death_counts_from_its_moment(sent_at: float, breaches: int) -> None:
    story = late_story()
    story.add("w2", "handling.start", "c1.m1#2", "c1.m1", 2)
    story.add("w1", "host.crash", at=40.0)
    story.gone(at=45.0)
    story.take("c1", "w2", at=47.0)
    story.ask("runs.list", worker="w2")
    assert finish(story, sent_at, "w2") == breaches


@pytest.mark.parametrize(("sent_at", "breaches"), [(150.0, 0), (150.001, 1)])
def test_a_refused_text_gives_the_time_of_a_send_more(sent_at: float, breaches: int) -> None:
    story = late_story()
    story.send("c1.m1", fate="refused", at=50.0)
    assert finish(story, sent_at) == breaches


@pytest.mark.parametrize("what", ["too late", "too early", "another worker", "another thread", "stuck run"])
def test_what_concerns_somebody_else_or_comes_too_late_excuses_nothing(what: str) -> None:
    story = late_story()
    if what == "too late":
        story.add("redis", "redis.fault", "away", "", "", at=91.5)
        story.add("redis", "redis.back", "away", at=91.6)
    elif what == "too early":
        story.records.insert(0, story.records[0]._replace(time=0.0, entity="w1", kind="host.pause", fields=(0.5,)))
    elif what == "another worker":
        story.add("w2", "host.pause", 30.0, at=40.0)
    elif what == "another thread":
        story.now = 40.0
        story.ask("runs.list", "thread_2", status=500)
    else:
        story.create_run("run_a", "c1.m1")
    assert finish(story, 92.0) == 1


def test_each_disturbance_that_begins_in_time_gives_its_own_90_seconds() -> None:
    story = late_story()
    for begin, end in ((90.0, 91.0), (181.0, 182.0)):
        story.add("redis", "redis.fault", "away", "", "", at=begin)
        story.add("redis", "redis.back", "away", at=end)
    assert finish(story, 272.0) == 0
    story = late_story()
    for begin, end in ((90.0, 91.0), (181.5, 182.0)):
        story.add("redis", "redis.fault", "away", "", "", at=begin)
        story.add("redis", "redis.back", "away", at=end)
    assert finish(story, 272.0) == 1


def test_slow_times_of_redis_end_one_by_one_and_outages_all_at_once() -> None:
    story = late_story()
    story.add("redis", "redis.fault", "slow", "", "", at=20.0)
    story.add("redis", "redis.fault", "away", "", "", at=30.0)
    story.add("redis", "redis.fault", "restart", "", "", at=31.0)
    story.add("redis", "redis.back", "restart", at=40.0)
    story.add("redis", "redis.back", "slow", at=60.0)
    assert finish(story, 150.0) == 0
    story = late_story()
    story.add("redis", "redis.fault", "away", "", "", at=30.0)
    story.add("redis", "redis.back", "away", at=40.0)
    assert finish(story, 131.0) == 1


# L2: a crash is recovered within a lease and a sweep


def crashed_story(taken_at: float | None, *, worker: str = "w2") -> JudgedStory:
    """The holder dies at 4 s with a message left; somebody takes the lease: 10 + 3 + 1 s later is 18 s."""
    story = JudgedStory()
    story.accept("c2.m1", "w2", lease=True)
    story.send("c2.m1", worker="w2")
    story.end("generic_apology", "c2.m1", worker="w2")
    story.release("c2", "w2")
    story.accept("c1.m1", lease=True, at=3.0)
    story.ask("runs.list")
    story.add("w1", "host.crash", at=4.0)
    story.gone(at=13.0)
    if taken_at is not None:
        story.take("c1", worker, at=taken_at)
        story.send("c1.m1", worker=worker)
        story.end("generic_apology", "c1.m1", worker=worker)
    story.add("customer:c1", "received", "c1", "x", at=max(40.0, story.now))
    return story


@pytest.mark.parametrize(("taken_at", "breaches"), [(18.0, 0), (18.001, 1), (None, 1)])
def test_somebody_takes_a_dead_workers_lease_within_a_lease_and_a_sweep(taken_at: float | None, breaches: int) -> None:
    story = crashed_story(taken_at)
    assert (count(story, "breach_L2"), count(story, "checked_L2")) == (breaches, 1)


def inserted(story: JudgedStory, time: float, entity: str, kind: str, *fields: Any) -> JudgedStory:
    """The same story with one event more."""
    position = next(i for i, each in enumerate(story.records) if each.time > time)
    story.records.insert(position, story.records[0]._replace(time=time, entity=entity, kind=kind, fields=fields))
    return story


@pytest.mark.parametrize(("taken_at", "breaches"), [(21.0, 0), (21.001, 1)])
def test_it_counts_from_the_end_of_an_outage_of_redis(taken_at: float, breaches: int) -> None:
    story = crashed_story(taken_at)
    inserted(story, 5.0, "redis", "redis.fault", "away", "", "")
    inserted(story, 7.0, "redis", "redis.back", "away")
    assert count(story, "breach_L2") == breaches


@pytest.mark.parametrize(("taken_at", "breaches"), [(29.0, 0), (29.001, 1)])
@pytest.mark.parametrize("fault", ["reply_lost", "command_lost"])
def test_a_reply_or_a_command_that_is_lost_excuses_for_ten_seconds(fault: str, taken_at: float, breaches: int) -> None:
    story = inserted(crashed_story(taken_at), 5.0, "redis", "redis.fault", fault, "SET", "relay:lease:c1")
    assert count(story, "breach_L2") == breaches


@pytest.mark.parametrize(("taken_at", "breaches"), [(19.5, 0), (19.501, 1)])
def test_it_counts_from_a_renewal_that_was_under_way(taken_at: float, breaches: int) -> None:
    story = inserted(crashed_story(taken_at), 5.5, "w1", "redis", "", "renew", "relay:lease:c1", 1)
    assert count(story, "breach_L2") == breaches


@pytest.mark.parametrize("kind", ["host.pause", "host.slow", "host.crash"])
def test_it_is_not_judged_while_nobody_is_well(kind: str) -> None:
    story = inserted(crashed_story(30.0), 12.0, "w2", kind, *(() if kind == "host.crash" else (1.0,)))
    assert (count(story, "breach_L2"), count(story, "checked_L2")) == (0, 0)


def test_a_dead_worker_takes_over_nothing() -> None:
    """What it had sent before it died takes the lease: that counts as another death, from which the time runs anew."""
    story = crashed_story(30.0)
    inserted(story, 14.0, "redis", "lease.taken", "c1", "w1")
    assert count(story, "breach_L2") == 1
    in_time = crashed_story(27.9)
    inserted(in_time, 14.0, "redis", "lease.taken", "c1", "w1")
    assert count(in_time, "breach_L2") == 0


@pytest.mark.parametrize(("acknowledged", "breaches"), [(False, 0), (True, 1)])
def test_what_a_failover_may_have_lost_needs_no_taker_unless_it_was_acknowledged(
    acknowledged: bool, breaches: int
) -> None:
    story = JudgedStory()
    story.accept("c2.m1", "w2", lease=True)
    story.send("c2.m1", worker="w2")
    story.end("generic_apology", "c2.m1", worker="w2")
    story.release("c2", "w2")
    story.accept("c1.m1", lease=True, at=3.0, returns=acknowledged)
    story.add("w1", "host.crash", at=3.5)
    story.add("redis", "redis.fault", "failover", "", "", at=3.9)
    story.gone(why="lost", at=3.9)
    story.add("redis", "redis.back", "failover", at=5.0)
    story.add("customer:c1", "received", "c1", "x", at=40.0)
    settings = replace(SETTINGS, lost_seconds={"failover": 1.0}, promises=CONFIRMED)
    assert judge(story.records, story.threads, story.ledger, settings).counts["breach_L2"] == breaches


def test_a_dead_workers_lease_with_nothing_left_needs_no_taker() -> None:
    story = answered_story()
    story.add("w1", "host.crash")
    story.add("redis", "redis.back", at=100.0)
    assert count(story, "checked_L2") == 0


# L3 and L4: the first thing done under a lease


@pytest.mark.parametrize(("first_at", "breaches"), [(3.0, 0), (3.001, 1)])
@pytest.mark.parametrize("by", ["request", "send"])
def test_the_first_thing_is_done_within_the_longest_burst(by: str, first_at: float, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.now = first_at
    if by == "request":
        story.ask("runs.list")
    story.send("c1.m1")
    story.end("generic_apology", "c1.m1")
    assert (count(story, "breach_L3"), count(story, "checked_L3")) == (breaches, 1)
    assert count(story, "checked_L4") == 0


def test_a_pause_of_the_redis_server_excuses_and_leaves_no_record() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.now = 5.0
    story.ask("runs.list")
    assert judge(story.records, story.threads, None, SETTINGS, [(2.0, 4.0)]).counts["breach_L3"] == 0
    assert judge(story.records, story.threads, None, SETTINGS, [(3.001, 4.0)]).counts["breach_L3"] == 1


@pytest.mark.parametrize(("back_at", "breaches"), [(57.0, 0), (56.999, 1)])
def test_a_lease_that_was_asked_for_while_redis_was_away_may_be_nobodys(back_at: float, breaches: int) -> None:
    """The step that takes it may be processed when the worker has given up on it, 3 s after it was sent."""
    story = JudgedStory()
    story.add("redis", "redis.fault", "away", "", "", at=50.0)
    story.add("redis", "redis.back", "away", at=back_at)
    story.accept("c1.m1", lease=True, at=60.0, returns=False)
    story.gone(at=70.0)
    story.add("customer:c1", "received", "c1", "x", at=80.0)
    assert count(story, "breach_L3") == breaches


def test_a_lease_that_ends_at_once_or_is_restored_needs_no_first_thing() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.gone(at=3.0)
    story.add("redis", "lease.back", "c1", "w1")
    story.add("customer:c1", "received", "c1", "x", at=60.0)
    assert (count(story, "breach_L3"), count(story, "checked_L3")) == (0, 0)


@pytest.mark.parametrize("what", ["redis", "pause", "api", "api before"])
def test_the_first_thing_is_not_judged_when_something_is_wrong(what: str) -> None:
    story = JudgedStory()
    if what == "api before":
        story.ask("runs.list", status=500)
    story.accept("c1.m1", lease=True, at=60.0)
    if what == "redis":
        story.add("redis", "redis.fault", "away", "", "", at=63.0)
    elif what == "pause":
        story.add("w1", "host.pause", 1.0, at=63.0)
    elif what == "api":
        story.ask("runs.list", "thread_2", "w2", status=500)
    story.now = 66.0
    story.ask("runs.list")
    assert (count(story, "breach_L3"), count(story, "checked_L3")) == (0, 0)


@pytest.mark.parametrize("holder", ["w1", "w2"])
def test_a_conversation_that_is_held_up_by_another_breaks_l4(holder: str) -> None:
    story = JudgedStory()
    story.accept("c2.m1", holder, lease=True)
    story.ask("runs.list", "thread_2", holder)
    story.accept("c1.m1", lease=True, at=1.0)
    story.now = 5.0
    story.ask("runs.list")
    assert count(story, "breach_L4") == int(holder == "w1")
    assert count(story, "breach_L3") == int(holder == "w2")


# L5: repetitions


def failing_story(
    repetitions: int, waits: list[float], *, operation: str = "runs.list", lease: bool = True
) -> JudgedStory:
    """A request that fails, and its repetitions, from 1 s on, each after the wait given, in turn."""
    story = JudgedStory()
    story.accept("c1.m1", lease=lease, at=1.0)
    story.ask(operation, status=500, run="run_a" if operation == "runs.retrieve" else None)
    for number in range(repetitions):
        story.now += waits[number % len(waits)]
        story.ask(operation, status=500, run="run_a" if operation == "runs.retrieve" else None)
    return story


def budget(**retries: float) -> Promises:
    """The promises of the story, with another budget of repetitions."""
    return PROMISES.model_copy(update={"retries": RetryPromise(**retries)})


def jittered(count: int) -> list[float]:
    """Short waits, no two alike."""
    return [2.0**-20 * (number + 1) for number in range(count)]


@pytest.mark.parametrize(("repetitions", "breaches"), [(14, 0), (15, 1), (30, 1)])
def test_repetitions_stay_within_the_budget(repetitions: int, breaches: int) -> None:
    """At the 14th: a tenth of 15 requests, 11.3 in reserve, 0.5 for the first second, and 1 for the lease make 14.3."""
    story = failing_story(repetitions, jittered(40))
    findings = story.findings(promises=budget(reserve=11.3))
    assert (findings.counts["breach_L5"], findings.counts["checked_L5"]) == (breaches, repetitions)


def test_the_budget_grows_with_time_requests_and_lives() -> None:
    story = failing_story(15, jittered(40))
    assert count(story, "breach_L5", promises=budget(reserve=11.3, refill_per_second=1.2)) == 0
    assert count(story, "breach_L5", promises=budget(reserve=11.3, ratio=0.2)) == 0
    assert count(story, "breach_L5", promises=budget(reserve=6.0)) == 1
    story.records.insert(0, story.records[0]._replace(entity="w1", kind="host.restart", fields=()))
    assert count(story, "breach_L5", promises=budget(reserve=6.0)) == 0


@pytest.mark.parametrize(("equal", "breaches"), [(2, 0), (3, 1), (4, 1)])
def test_the_third_equal_wait_after_the_same_number_of_failures_breaks_l5(equal: int, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    for number in range(equal):
        story.ask("runs.list", status=500)
        story.now += 0.5
        story.ask("runs.list", status=200)
        story.now += 1.0 + number
    assert count(story, "breach_L5") == breaches


def test_equal_waits_after_different_numbers_of_failures_are_no_breach() -> None:
    assert count(failing_story(5, [0.5]), "breach_L5") == 0


@pytest.mark.parametrize(("status", "wait", "breaches"), [(429, 5.0, 0), (503, 5.0, 0), (500, 5.0, 1), (429, 5.5, 1)])
def test_whole_seconds_that_a_server_may_have_asked_for_are_not_the_relays_choice(
    status: int, wait: float, breaches: int
) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    for number in range(3):
        story.ask("runs.list", status=status)
        story.now += wait
        story.ask("runs.list")
        story.now += 1.0 + number
    assert count(story, "breach_L5") == breaches


@pytest.mark.parametrize(("wait", "checked"), [(0.639, 1), (0.8 * 0.8, 0)])
def test_the_next_regular_look_at_a_run_is_no_repetition(wait: float, checked: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.ask("runs.retrieve", run="run_a", status=500)
    story.now += wait
    story.ask("runs.retrieve", run="run_a")
    assert count(story, "checked_L5") == checked


@pytest.mark.parametrize("what", ["another run", "another lease", "messages ended", "a refusal", "a success"])
def test_what_is_no_repetition_costs_nothing(what: str) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.ask("runs.cancel", run="run_a", status={"a refusal": 400, "a success": 200}.get(what, 500))
    story.now += 0.5
    if what == "messages ended":
        story.end("generic_apology", "c1.m1")
    if what == "another lease":
        story.gone(at=10.0)
        story.take()
    story.ask("runs.cancel", run="run_b" if what == "another run" else "run_a")
    assert count(story, "checked_L5") == 0


def test_without_leases_a_repetition_is_one_of_the_same_handling() -> None:
    for delivery, checked in (("c1.m1#1", 1), ("c1.m2#1", 0)):
        story = JudgedStory()
        story.ask("messages.create", status=500, delivery="c1.m1#1")
        story.now += 0.5
        story.ask("messages.create", delivery=delivery)
        assert count(story, "checked_L5") == checked
