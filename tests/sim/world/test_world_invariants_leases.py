"""S4, S5, S7, S8, S9 and S10: what is done under a lease and how it is let go, on traces written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from judged_story import CONFIRMED, PROMISES, JudgedStory, answered_story

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.trace.operation_roles import OperationRoles
from relaysim.sim.world.judge.promises import LeaseSteps

FAILOVER = {"failover": 1.0}


def count(story: JudgedStory, name: str, **settings: Any) -> int:
    return story.findings(**settings).counts[name]


# S7 and S4: no step without the lease


@pytest.mark.parametrize("step", ["messages.create", "runs.create", "runs.cancel", "send"])
@pytest.mark.parametrize(("worker", "breaches"), [("w1", 0), ("w2", 1)])
def test_a_step_of_a_worker_without_the_lease_breaks_s7(step: str, worker: str, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    if step == "send":
        story.send("c1.m1", worker=worker)
    else:
        story.leave(step, worker=worker, run="run_a" if step == "runs.cancel" else None)
    assert count(story, "breach_S7") == breaches


def test_looking_needs_no_lease() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.ask("runs.list", worker="w2")
    assert count(story, "breach_S7") == 0


@pytest.mark.parametrize("end", ["expired", "released", "taken"])
def test_a_lease_that_has_ended_is_none(end: str) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    if end == "expired":
        story.gone(at=10.0)
    elif end == "released":
        story.release(at=10.0)
    else:
        story.take("c1", "w2", at=10.0)
    story.send("c1.m1")
    assert count(story, "breach_S7") == 1


def test_a_request_that_left_under_the_lease_may_land_after_it() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    request_id = story.leave("runs.create")
    story.gone(at=10.0)
    story.take("c1", "w2")
    story.run_lands(request_id, "run_a", "c1.m1")
    assert (count(story, "breach_S7"), count(story, "breach_S4")) == (0, 0)


@pytest.mark.parametrize(("time", "breaches"), [(12.0, 0), (12.001, 1)])
def test_a_lease_that_redis_has_lost_may_be_relied_on_for_its_length(time: float, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.add("redis", "redis.fault", "failover", "", "", at=2.0)
    story.gone(why="lost")
    story.add("redis", "redis.back", "failover", at=3.0)
    story.take("c1", "w2", at=4.0)
    story.now = time
    story.create_run("run_a", "c1.m1")
    assert count(story, "breach_S7", lost_seconds=FAILOVER) == breaches
    assert count(story, "breach_S4", lost_seconds=FAILOVER) == breaches
    assert count(story, "residue_lost_lease", lost_seconds=FAILOVER) == 1 - breaches
    # A server that kept its data has lost no lease.
    assert count(story, "breach_S7") == 1


def test_a_lease_that_a_failover_shortened_may_be_relied_on_too() -> None:
    """Its renewal was lost, so that it expired earlier than its holder thinks."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.add("redis", "redis.fault", "failover", "", "", at=8.0)
    story.gone(why="expired", at=10.0)
    story.add("redis", "redis.back", "failover", at=11.0)
    story.send("c1.m1", at=12.0)
    assert count(story, "residue_lost_lease", lost_seconds=FAILOVER) == 1
    assert count(story, "breach_S7", lost_seconds=FAILOVER) == 0


def _two_tasks_of_one_worker(end: str, *, again: str = "c1.m2") -> JudgedStory:
    """A delivery's lease ends; in another delivery its worker takes and releases one; then the first delivery sends."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True, returns=False)
    if end == "lost":
        story.add("redis", "redis.fault", "failover", "", "", at=2.0)
        story.gone(why="lost")
        story.add("redis", "redis.back", "failover", at=3.0)
    else:
        story.gone(at=2.0)
    story.accept(again, lease=True, at=4.0)
    story.release(at=5.0)
    story.add("w1", "send", "c1.m1#1", "c1", "Reply", at=6.0)
    return story


def test_a_lost_lease_is_relied_on_also_if_another_task_of_the_worker_has_had_it_since() -> None:
    story = _two_tasks_of_one_worker("lost")
    assert count(story, "breach_S7", lost_seconds=FAILOVER) == 0
    assert count(story, "residue_lost_lease", lost_seconds=FAILOVER) == 1


def test_a_lost_lease_is_not_relied_on_by_a_delivery_that_has_had_another_one_since() -> None:
    story = _two_tasks_of_one_worker("lost", again="c1.m1")
    assert count(story, "breach_S7", lost_seconds=FAILOVER) == 1


def test_a_step_without_the_lease_is_told_with_the_lease_of_its_own_delivery() -> None:
    (found,) = _two_tasks_of_one_worker("expired").findings().details["breach_S7"]
    assert found["text"] == "w1 began send for c1 at 6.000 s, whose lease it had let expire at 2.000 s"


def test_another_workers_deletion_of_the_lease_is_no_fault_of_the_server() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.gone(why="lost", at=2.0)
    story.send("c1.m1", at=3.0)
    assert count(story, "breach_S7", lost_seconds=FAILOVER) == 1


@pytest.mark.parametrize(("epochs", "breaches"), [((1, 1), 0), ((1, 2), 1), ((1, None), 1)])
def test_all_runs_of_a_lease_have_its_epoch(epochs: tuple[int, int | None], breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    for number, epoch in enumerate(epochs):
        story.create_run(f"run_{number}", epoch=epoch)
        story.complete(f"run_{number}")
    assert count(story, "breach_S4") == breaches


@pytest.mark.parametrize(("second", "breaches"), [(6, 0), (5, 1), (4, 1)])
def test_epochs_grow_from_lease_to_lease_unless_redis_went_back(second: int, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.answer_all("run_a", "c1.m1", epoch=5)
    story.add("redis", "redis.fault", "failover", "", "")
    story.add("redis", "redis.back", "failover", after=1.0)
    story.release()
    story.accept("c1.m2", "w2", lease=True)
    story.answer_all("run_b", "c1.m2", worker="w2", epoch=second)
    assert count(story, "breach_S4") == breaches
    assert count(story, "breach_S4", lost_seconds=FAILOVER) == 0


def test_a_run_on_a_new_thread_belongs_to_the_conversation_that_opened_it() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    request_id = story.leave("threads.create", None)  # type: ignore[arg-type]
    story.serve(request_id, 200, "thread_new")
    story.answer(request_id)
    story.redis("w1", "replace_thread", "c1", reply="10 bytes")
    story.leave("runs.create", "thread_new", "w2")
    assert count(story, "breach_S7") == 1


def test_a_thread_that_was_opened_twice_since_the_first_answer_was_lost_is_known_all_the_same() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    lost, known = (story.leave("threads.create", None, delivery="c1.m1#1") for _ in range(2))  # type: ignore[arg-type]
    story.serve(lost, 200, "thread_lost")
    story.answer(lost, 0, "ReadTimeout")
    story.serve(known, 200, "thread_new")
    story.answer(known)
    story.redis("w1", "replace_thread", "c1", delivery="c1.m1#1", reply="10 bytes")
    story.leave("runs.create", "thread_new", "w2")
    assert count(story, "breach_S7") == 1


def test_of_two_threads_that_were_opened_outside_of_a_handling_nobody_says_which_is_bound() -> None:
    """A sweep answers several conversations; the thread whose answer has come may be the other one's."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    here, other = (story.leave("threads.create", None) for _ in range(2))  # type: ignore[arg-type]
    for request_id, thread in ((here, "thread_here"), (other, "thread_other")):
        story.serve(request_id, 200, thread)
    story.answer(other)
    story.redis("w1", "replace_thread", "c1", reply="10 bytes")
    story.leave("runs.create", "thread_other", "w2")
    assert count(story, "breach_S7") == 0


# S5: taken over before cancelled


def cancelled_story(step: str | None, *, when: str = "between", by: str = "w1", reply: Any = 1) -> JudgedStory:
    """A run is created and later cancelled; the ledger's step comes before the creation, in between, or after."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)

    def take_step(moment: str) -> None:
        story.now += 1.0
        if step is not None and moment == when:
            story.redis(by, step, "c1", reply=reply)

    take_step("before")
    story.create_run("run_a", "c1.m1")
    take_step("between")
    story.cancel("run_a")
    take_step("after")
    return story


@pytest.mark.parametrize("step", ["take_over", "end"])
def test_a_run_whose_messages_were_taken_over_or_ended_may_be_cancelled(step: str) -> None:
    assert count(cancelled_story(step), "breach_S5") == 0


@pytest.mark.parametrize(
    "story",
    [
        cancelled_story(None),
        cancelled_story("take_over", when="before"),
        cancelled_story("take_over", when="after"),
        cancelled_story("take_over", by="w2"),  # not the holder
        cancelled_story("take_over", reply=-1),  # refused by its fence
        cancelled_story("take_over", reply="error ResponseError"),
        cancelled_story("intend"),
    ],
)
def test_a_cancel_without_a_takeover_breaks_s5(story: JudgedStory) -> None:
    assert count(story, "breach_S5") == 1


def test_a_cancel_by_who_cannot_know_what_the_run_answers_is_a_residue_unless_replicas_confirm() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.add("redis", "redis.fault", "failover", "", "", after=0.5)
    story.add("redis", "redis.back", "failover", after=0.5)
    story.cancel("run_a")
    assert count(story, "breach_S5") == 1
    assert count(story, "breach_S5", lost_seconds=FAILOVER) == 0
    assert count(story, "residue_lost_writes", lost_seconds=FAILOVER) == 2  # and the message has not ended
    assert count(story, "breach_S5", lost_seconds=FAILOVER, promises=CONFIRMED) == 1


def test_a_run_that_a_predecessor_gave_up_may_be_cancelled_by_the_next_holder() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.redis("w1", "take_over", "c1")
    story.gone(at=10.0)
    story.take("c1", "w2")
    story.cancel("run_a", worker="w2")
    assert count(story, "breach_S5") == 0


def test_a_run_that_answers_nobody_any_more_or_was_never_ours_may_be_cancelled() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.send("c1.m1")
    story.cancel("run_a")
    assert count(story, "breach_S5") == 0

    story = JudgedStory()
    story.add("api", "run.state", "run_old", "thread_1", "queued", "before#1")
    story.accept("c1.m1", lease=True)
    story.cancel("run_old")
    assert (count(story, "breach_S5"), count(story, "checked_S5")) == (0, 0)


def test_a_refused_cancel_breaks_nothing() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.cancel("run_a", status=400)
    assert count(story, "checked_S5") == 0


@pytest.mark.parametrize(("names", "breaches"), [(("c1.m1",), 1), (("c1.m2",), 0)])
def test_a_creator_that_apologises_for_what_was_taken_from_it_breaks_s5(names: tuple[str, ...], breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.accept("c1.m2")
    story.create_run("run_a", "c1.m1")
    story.gone(at=10.0)
    story.take("c1", "w2")
    story.redis("w2", "take_over", "c1")
    story.cancel("run_a", worker="w2")
    story.send(*names, at=12.0)
    assert count(story, "breach_S5") == breaches


# S8: no run left behind


def left_story(*, told: bool, cancel: bool = False, command: str = "release", look: bool = False) -> JudgedStory:
    """A lease is released while a run of it is active."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    request_id = story.leave("runs.create")
    story.run_lands(request_id, "run_a", "c1.m1")
    if told:
        story.answer(request_id)
    else:
        story.answer(request_id, 0, "ReadTimeout")
    if look:
        story.ask("runs.list")
    story.send("c1.m1")
    story.end("generic_apology", "c1.m1")
    if cancel:
        story.leave("runs.cancel", run="run_a")
    story.release(command=command, at=5.0)
    return story


def test_a_lease_that_is_released_while_its_run_is_active_breaks_s8() -> None:
    assert count(left_story(told=True), "breach_S8") == 1
    assert count(left_story(told=False, look=True), "breach_S8") == 1


def test_a_requested_cancel_or_a_lease_that_is_handed_back_keeps_s8() -> None:
    assert count(left_story(told=True, cancel=True), "breach_S8") == 0
    assert count(left_story(told=True, command="hand_back"), "breach_S8") == 0


def test_a_run_that_the_worker_could_not_know_of_is_a_residue() -> None:
    story = left_story(told=False)
    assert (count(story, "breach_S8"), count(story, "residue_orphan_run")) == (0, 1)


def test_a_run_that_has_ended_is_not_left_behind() -> None:
    story = answered_story()
    story.release()
    assert (count(story, "breach_S8"), count(story, "checked_S8")) == (0, 1)


def test_a_run_of_an_earlier_lease_is_left_behind_by_whoever_looked_at_it() -> None:
    for looks in (True, False):
        story = JudgedStory()
        story.accept("c1.m1", lease=True)
        story.create_run("run_a", "c1.m1")
        story.gone(at=10.0)
        story.take("c1", "w2")
        if looks:
            story.ask("runs.retrieve", worker="w2", run="run_a")
        story.send("c1.m1", worker="w2")
        story.release("c1", "w2")
        assert count(story, "breach_S8") == int(looks)


def test_somebody_elses_run_may_stay() -> None:
    story = JudgedStory()
    story.add("api", "run.state", "run_old", "thread_1", "queued", "before#1")
    story.accept("c1.m1", lease=True)
    story.ask("runs.retrieve", run="run_old")
    story.send("c1.m1")
    story.release()
    assert count(story, "breach_S8") == 0


# S10: released only when empty


def test_a_message_that_waits_when_the_lease_is_released_breaks_s10() -> None:
    story = answered_story()
    story.accept("c1.m2", "w2")
    story.release()
    story.take("c1", "w2", at=5.0)
    story.send("c1.m2", worker="w2")
    story.end("generic_apology", "c1.m2", worker="w2")
    assert story.broken() == {"S10": 1}


def test_a_message_that_is_accepted_right_after_the_release_is_no_breach() -> None:
    story = answered_story()
    story.release()
    story.accept("c1.m2", "w2", lease=True)
    story.send("c1.m2", worker="w2")
    story.end("generic_apology", "c1.m2", worker="w2")
    assert story.broken() == {}


def test_a_stranded_message_breaks_s10_also_if_it_never_ends() -> None:
    story = answered_story()
    story.accept("c1.m2", "w2")
    story.release()
    assert story.broken() == {"S1": 1, "S10": 1, "L1": 1}


def test_a_redelivery_of_an_ended_message_is_not_waiting() -> None:
    story = answered_story()
    story.add("w2", "handling.start", "c1.m1#2", "c1.m1", 2)
    story.redis("w2", "accept", "c1", delivery="c1.m1#2", reply="4 items")
    story.release()
    assert story.broken() == {}


def test_an_accept_that_failed_has_accepted_nothing() -> None:
    story = answered_story()
    story.add("customer:c1", "message.sent", "c1.m2", "c1", "Question [c1.m2]", None)
    story.add("w2", "handling.start", "c1.m2#1", "c1.m2", 1)
    story.redis("w2", "accept", "c1", delivery="c1.m2#1", reply="error NoScriptError")
    story.release()
    assert story.broken() == {}


def test_a_lease_may_be_handed_back_with_all_that_waits() -> None:
    story = answered_story()
    story.accept("c1.m2", "w2")
    story.release(command="hand_back")
    assert "S10" not in story.broken()


def test_a_message_that_the_server_has_lost_is_not_waiting() -> None:
    story = answered_story()
    story.accept("c1.m2", "w2")
    story.add("redis", "redis.fault", "failover", "", "", after=0.5)
    story.add("redis", "redis.back", "failover", after=1.0)
    story.release()
    assert count(story, "breach_S10") == 1
    assert count(story, "breach_S10", lost_seconds=FAILOVER) == 0
    assert count(story, "breach_S10", lost_seconds=FAILOVER, promises=CONFIRMED) == 1


# S9: looked up before repeated


def repeated_story(
    status: int = 500, failure: str | None = None, *, look: str | None = None, look_status: int = 200, by: str = "w1"
) -> JudgedStory:
    """A creation that goes wrong, perhaps a look, and another creation."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.ask("runs.create", status=status, failure=failure)
    story.now += 1.0
    if look is not None:
        story.ask(look, status=look_status, worker=by)
    story.now += 1.0
    story.create_run("run_a", "c1.m1")
    return story


@pytest.mark.parametrize(
    ("status", "failure"), [(500, None), (503, None), (0, "ReadTimeout"), (0, "ReadError"), (200, "malformed")]
)
def test_a_repetition_without_a_look_breaks_s9(status: int, failure: str | None) -> None:
    assert count(repeated_story(status, failure), "breach_S9") == 1
    assert count(repeated_story(status, failure, look="runs.list"), "breach_S9") == 0
    assert count(repeated_story(status, failure, look="runs.list", by="w2"), "breach_S9") == 0
    assert count(repeated_story(status, failure, look="runs.list", look_status=404), "breach_S9") == 0, "it is gone"


@pytest.mark.parametrize(("fails_over_at", "breaches"), [(-0.01, 0), (0.5, 0), (1.2, 1), (2.5, 1)])
def test_a_creation_whose_note_a_failover_lost_is_known_to_nobody(fails_over_at: float, breaches: int) -> None:
    """It leaves at 0 s, and another one at 2 s; a failover loses what was noted within a second before it, be it just
    before the request left."""
    story = repeated_story(0, "ReadTimeout")
    story.add("redis", "redis.fault", "failover", "", "", at=fails_over_at)
    story.add("redis", "redis.back", "failover", at=fails_over_at + 0.1)
    story.records.sort(key=lambda each: each.time)
    assert count(story, "breach_S9", lost_seconds=FAILOVER) == breaches
    assert count(story, "breach_S9", lost_seconds=FAILOVER, promises=CONFIRMED) == 1
    assert count(story, "breach_S9") == 1


@pytest.mark.parametrize("failure", ["malformed", "ReadError", "RemoteProtocolError"])
def test_what_a_status_refuses_is_known_not_to_be_done_though_its_words_are_cut_off(failure: str) -> None:
    for status, breaches in ((429, 0), (400, 1)):  # of the second the words tell what it is
        story = JudgedStory()
        story.accept("c1.m1", lease=True)
        story.answer(story.leave("runs.create"), status, failure)
        story.create_run("run_a", "c1.m1")
        assert count(story, "breach_S9") == breaches


def test_a_repetition_is_told_apart_from_two_requests_at_a_time() -> None:
    (ended,) = repeated_story(0, "ReadTimeout").findings().details["breach_S9"]
    assert ended["text"] == (
        "w1 sent runs.create at 2.000 s, without a look whether w1's runs.create of 0.000 s had been carried out, "
        "which had ended in ReadTimeout"
    )
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    first = story.leave("runs.create")
    story.now += 0.5
    story.create_run("run_a", "c1.m1")
    story.now += 0.5
    story.answer(first, 500)
    (at_a_time,) = story.findings().details["breach_S9"]
    assert at_a_time["text"] == (
        "w1 sent runs.create at 0.500 s, while w1's runs.create of 0.000 s was still without an answer, and nobody had "
        "looked whether it had been carried out"
    )


@pytest.mark.parametrize("look", [None, "runs.list", "runs.retrieve"])
def test_an_api_whose_operations_have_other_names_is_judged_alike(look: str | None) -> None:
    roles = OperationRoles(
        *(frozenset(f"a.{each}" if isinstance(each, str) else each for each in role) for role in ROLES)
    )
    story = repeated_story(look=look)
    story.release()
    counts = story.findings().counts
    assert counts["breach_S9"] == (look != "runs.list")
    story.records = [
        record._replace(fields=(*record.fields[:2], f"a.{record.fields[2]}", *record.fields[3:]))
        if record.kind == "request"
        else record
        for record in story.records
    ]
    assert story.findings(roles=roles).counts == counts
    assert story.findings().counts != counts


def test_without_a_declared_end_the_next_message_is_no_repetition_of_the_one_before() -> None:
    """Whether a holder has given a message up, it does not say: what it then does for another is no blind repetition; nor is
    what it does outside of handlings, since nobody knows for whom."""
    assert PROMISES.lease is not None
    lease = PROMISES.lease.model_copy(update={"steps": LeaseSteps()})
    told = {"promises": PROMISES.model_copy(update={"lease": lease})}
    for first, delivery, breaches in (("c1.m1#1", "c1.m2#1", 0), ("c1.m1#1", "c1.m1#1", 1), ("", "", 0)):
        story = JudgedStory()
        story.accept("c1.m1", lease=True)
        story.ask("messages.create", status=500, delivery=first)
        story.now += 1.0
        story.ask("messages.create", delivery=delivery)
        assert count(story, "breach_S9", **told) == breaches
        assert count(story, "breach_S9") == 1, "with the step declared, both are repetitions"


@pytest.mark.parametrize(("status", "failure"), [(400, None), (404, None), (429, None), (0, "ConnectError")])
def test_what_was_surely_not_done_may_be_repeated(status: int, failure: str | None) -> None:
    story = repeated_story(status, failure)
    assert (count(story, "breach_S9"), count(story, "checked_S9")) == (0, 0)


def test_a_look_that_was_not_answered_or_shows_no_runs_is_none() -> None:
    assert count(repeated_story(look="runs.list", look_status=500), "breach_S9") == 1
    assert count(repeated_story(look="messages.list"), "breach_S9") == 1
    assert count(repeated_story(look="runs.retrieve"), "breach_S9") == 1


def test_an_attempt_that_nobody_saw_answered_is_looked_for_by_the_next_holder() -> None:
    for looks in (True, False):
        story = JudgedStory()
        story.accept("c1.m1", lease=True)
        story.leave("runs.create")
        story.add("w1", "host.crash", after=1.0)
        story.gone(at=10.0)
        story.take("c1", "w2", at=12.0)
        if looks:
            story.ask("runs.list", worker="w2")
        story.create_run("run_b", "c1.m1", worker="w2", epoch=2)
        assert count(story, "breach_S9") == int(not looks)


@pytest.mark.parametrize(("looked_at", "breaches"), [(12.2, 0), (11.9, 1)])
def test_the_next_holders_look_counts_although_the_first_ones_attempt_fails_only_after_it(
    looked_at: float, breaches: int
) -> None:
    """When another worker's attempt times out is not to be known; a look under the new lease is all that can be done."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    first = story.leave("runs.create")
    story.gone(at=10.0)
    if looked_at < 12.0:
        story.now = looked_at
        story.ask("runs.list", worker="w2")
    story.take("c1", "w2", at=12.0)
    story.now = max(12.0, looked_at)
    if looked_at > 12.0:
        story.ask("runs.list", worker="w2")
    story.now = 12.3
    story.answer(first, 0, "ReadTimeout")
    story.create_run("run_b", "c1.m1", worker="w2", epoch=2)
    assert count(story, "breach_S9") == breaches


@pytest.mark.parametrize(("lands_at", "looks", "breaches"), [(1.0, True, 0), (13.0, True, 1), (1.0, False, 1)])
def test_what_a_holder_in_between_found_is_known_to_the_next_though_the_first_attempt_fails_only_then(
    lands_at: float, looks: bool, breaches: int
) -> None:
    """w2 lists the run that w1 had made, before w1's client gives its request up; w3 goes by what is noted of it."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    first = story.leave("runs.create")
    if lands_at < 10.0:
        story.now = lands_at
        story.run_lands(first, "run_a", "c1.m1")
    story.gone(at=10.0)
    story.take("c1", "w2", at=12.0)
    story.now = 12.1
    if looks:
        story.ask("runs.list", worker="w2")
    if lands_at > 12.1:
        story.now = lands_at
        story.run_lands(first, "run_a", "c1.m1")
    story.now = 15.0
    story.answer(first, 0, "ReadTimeout")
    story.gone(at=22.0)
    story.take("c1", "w3", at=30.0)
    story.now = 30.1
    story.ask("runs.create", worker="w3", status=400)
    assert count(story, "breach_S9") == breaches


def test_a_look_at_the_very_run_that_was_made_is_a_look() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    request_id = story.leave("runs.create")
    story.run_lands(request_id, "run_a", "c1.m1")
    story.answer(request_id, 0, "ReadTimeout")
    story.ask("runs.retrieve", run="run_a")
    story.ask("runs.create", status=400)
    assert (count(story, "breach_S9"), count(story, "checked_S9")) == (0, 1)


def test_what_follows_after_messages_have_ended_is_no_repetition() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.ask("runs.create", status=500)
    story.now += 1.0
    story.send("c1.m1")
    story.end("friendly_apology", "c1.m1")
    story.accept("c1.m2")
    story.create_run("run_a", "c1.m2")
    assert count(story, "breach_S9") == 0


def test_the_sdks_blind_repetition_breaks_s9_of_any_relay() -> None:
    for delivery, operation, breaches in (
        ("c1.m1#1", "messages.create", 1),
        ("c1.m2#1", "messages.create", 0),
        ("c1.m1#1", "runs.create", 0),
    ):
        story = JudgedStory()
        story.ask("messages.create", status=500, delivery="c1.m1#1")
        story.now += 0.5
        story.ask(operation, delivery=delivery)
        assert count(story, "breach_S9") == breaches


@pytest.mark.parametrize(("lands", "breaches"), [("before the look", 1), ("after the look", 0)])
def test_a_text_stored_twice_breaks_s9_unless_the_first_came_after_the_look(lands: str, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    first = story.leave("runs.create")
    story.now = 10.0
    story.answer(first, 0, "ReadTimeout")
    if lands == "before the look":
        story.run_lands(first, "run_a", "c1.m1")
        story.complete("run_a", worker=None)
    story.now = 11.0
    story.ask("runs.list")
    story.now = 12.0
    second = story.leave("runs.create")
    if lands == "after the look":
        story.run_lands(first, "run_a", "c1.m1")
        story.complete("run_a", worker=None)
    story.now = 13.0
    story.run_lands(second, "run_b", "c1.m1")
    story.answer(second)
    assert (count(story, "breach_S9"), count(story, "residue_stored_twice")) == (breaches, 1 - breaches)


def test_a_text_that_is_brought_again_after_a_known_run_breaks_s9_unless_a_failover_made_it_forget() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.add("api", "run.state", "run_a", "thread_1", "failed", "time")
    story.add("redis", "redis.fault", "failover", "", "", after=0.5)
    story.create_run("run_b", "c1.m1")
    assert count(story, "breach_S9") == 1
    assert count(story, "residue_stored_twice", lost_seconds=FAILOVER) == 1
    assert count(story, "breach_S9", lost_seconds=FAILOVER) == 0
