"""Another run is on the thread: whose it is decides what is done about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from drain_bench import Bench, constant

from relaysim.relay.drain.identity import metadata_of
from relaysim.sim.backends.replies import Failure


def test_a_foreign_run_is_waited_for() -> None:
    with Bench() as bench:
        foreign = bench.leave_run(stuck=False)
        bench.say(0.0, "m1")
        bench.run(40)
        assert [run["status"] for run in bench.runs] == ["completed", "completed"]
        assert bench.runs[0]["id"] == foreign
        assert bench.requests("runs.cancel") == []
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_conflicts_total", cause="foreign") == 1
        assert bench.metric("relay_recovered_total", attempt="2") == 1


def test_a_foreign_run_that_takes_too_long_is_cancelled() -> None:
    with Bench(profile={"stuck_cancel_seconds": constant(1.0)}, settings={"foreign_patience_seconds": 10.0}) as bench:
        foreign = bench.leave_run()
        bench.say(0.0, "m1")
        bench.run(60)
        (cancel,) = bench.requests("runs.cancel")
        conflict = bench.requests("runs.create")[0].at
        assert cancel.run == foreign
        assert cancel.at > conflict + 10.0
        assert cancel.at < conflict + 10.0 + 1.0
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_cancels_total", whose="other", takeover="no") == 1


def test_a_foreign_run_that_does_not_even_end_when_cancelled_is_left_behind() -> None:
    with Bench(settings={"foreign_patience_seconds": 5.0, "thread_patience_seconds": 8.0}) as bench:
        for number in range(3):
            bench.service.create_message(bench.thread(), role="user", content=f"earlier {number}")
        bench.leave_run()
        bench.say(0.0, "m1")
        bench.run(60)
        first, *_, last = bench.requests("runs.create")
        assert first.thread == bench.thread()
        assert last.thread not in (None, bench.thread())
        assert [text for _, text in bench.messages(last.thread)] == [
            "earlier 0",
            "earlier 1",
            "earlier 2",
            "question m1",
            "Answer to: earlier 0, earlier 1, earlier 2, question m1",
        ]
        assert last.at - first.at < 5.0 + 8.0 + 3.0
        bench.say(60.0, "m2")
        bench.run(90)
        assert bench.requests("runs.create")[-1].thread == last.thread
        assert bench.texts[1:] == ["Answer to: question m2"]


def test_what_has_come_by_the_time_the_conversation_moves_goes_along() -> None:
    """Also if it was written before what was to go: it would be in the new thread after it."""
    settings = {"foreign_patience_seconds": 5.0, "thread_patience_seconds": 8.0, "wait_replicas": 1}
    with Bench(settings=settings) as bench:
        bench.leave_run()
        bench.say(0.0, "m1")
        bench.say(9.0, "m2")
        bench.run(60)
        new = bench.requests("runs.create")[-1].thread
        assert new != bench.thread()
        assert [text for role, text in bench.messages(new) if role == "user"] == ["question m1", "question m2"]
        assert bench.texts == ["Answer to: question m1, question m2"]
        assert bench.outcomes() == {"m1": "covered", "m2": "answered"}


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_what_waits_for_an_answer_moves_with_the_conversation_however_little_does(kept: int) -> None:
    with Bench(
        profile={"stuck_probability": 0.0},
        settings={"moved_messages_max": kept, "run_patience_seconds": 10.0, "batch_messages_max": 5},
    ) as bench:
        bench.say(0.0, "m1")
        bench.say(0.1, "m2")
        bench.when("run.state", "queued", lambda: bench.lives.make_stuck(bench.runs[0]["id"]))
        bench.run(70)
        assert bench.texts == ["Answer to: question m1, question m2"]
        new = bench.requests("runs.create")[-1].thread
        assert [text for role, text in bench.messages(new) if role == "user"] == ["question m1", "question m2"]


def test_what_waits_moves_along_though_the_run_that_was_given_up_has_answered_it_at_last() -> None:
    """Its cancel is requested and does not take effect: it completes while the conversation moves away from it."""
    quick = {"moved_messages_max": 1, "run_patience_seconds": 5.0, "thread_patience_seconds": 0.5}
    slow = {
        "run_seconds": constant(100.0),
        "cancel_seconds": constant(1.0),
        "cancel_completes_probability": 1.0,
        "request_seconds": constant(0.3),
    }
    with Bench(profile=slow, settings=quick) as bench:
        bench.say(0.0, "m1")
        bench.run(70)
        first, *_, last = bench.requests("runs.create")
        assert first.thread != last.thread
        assert [text for role, text in bench.messages(last.thread) if role == "user"] == ["question m1"]


def orphan_of(bench: Bench, *messages: str, stuck: bool = False, epoch: int = 7) -> str:
    """A run that some worker of an earlier epoch created for these messages."""
    ids = [bench.id_of(message) for message in messages]
    return bench.leave_run(stuck=stuck, metadata=metadata_of(epoch, "0" * 32, ids))


def test_an_orphan_that_answers_a_message_of_the_inbox_is_adopted_and_answers_once() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.at(0.1, lambda: orphan_of(bench, "m1"))
        bench.run(40)
        assert len(bench.runs) == 1
        assert len(bench.sent) == 1
        assert bench.outcomes() == {"m1": "answered"}
        assert bench.metric("relay_runs_adopted_total") == 1
        assert bench.metric("relay_conflicts_total", cause="orphan") == 1


def test_what_has_come_when_the_inbox_is_read_in_a_conflict_goes_into_the_same_run() -> None:
    """It may have been written first, and its webhook late: asked for after the others it would be read after them."""
    with Bench(profile={"request_seconds": constant(1.0)}) as bench:
        bench.at(0.1, lambda: bench.leave_run(stuck=False, metadata=metadata_of(7, "0" * 32, ["somebody's"])))
        bench.say(0.0, "m1")
        bench.say(2.2, "m2")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1, question m2"]
        assert bench.outcomes() == {"m1": "covered", "m2": "answered"}


def test_what_was_written_first_goes_first_also_where_more_has_come_than_one_run_answers() -> None:
    with Bench(profile={"request_seconds": constant(1.0)}, settings={"batch_messages_max": 2}) as bench:
        bench.at(0.1, lambda: bench.leave_run(stuck=False, metadata=metadata_of(7, "0" * 32, ["somebody's"])))
        bench.say(0.0, "m2", sent_at=2.0)
        bench.say(0.0, "m3", sent_at=3.0)
        bench.say(1.5, "m1", sent_at=1.0)
        bench.run(60)
        assert bench.texts == ["Answer to: question m1, question m2", "Answer to: question m3"]
        assert bench.outcomes() == {"m1": "covered", "m2": "answered", "m3": "answered"}


def test_an_orphan_that_has_ended_by_the_time_it_is_looked_at_has_still_answered() -> None:
    """A creation that landed late was in the way of its own repetition, and was done before anybody looked at it."""
    quick = {"run_seconds": constant(0.1), "queue_seconds": constant(0.02)}
    with Bench(profile=quick) as bench:
        bench.say(0.0, "m1")
        bench.when("request", "runs.create", lambda: orphan_of(bench, "m1"))
        bench.run(40)
        assert len(bench.requests("runs.create")) == 1
        assert len(bench.runs) == 1
        assert bench.outcomes() == {"m1": "answered"}
        assert bench.metric("relay_runs_adopted_total") == 1


def test_an_orphan_that_is_adopted_is_no_creation_of_its_finder() -> None:
    """Whoever comes after one that died would else use its creations up, with a single run that nobody could end."""
    profile = {"stuck_cancel_seconds": constant(1.0)}
    with Bench(profile=profile, settings={"creations_max": 1, "run_patience_seconds": 20.0}) as bench:
        bench.say(0.0, "m1")
        bench.at(0.1, lambda: orphan_of(bench, "m1", stuck=True))
        bench.run(70)
        assert [run["status"] for run in bench.runs] == ["cancelled", "completed"]
        assert bench.outcomes() == {"m1": "answered"}


def test_what_an_adopted_run_does_not_answer_gets_the_next() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.say(0.1, "m2")
        bench.at(0.2, lambda: orphan_of(bench, "m1"))
        bench.run(60)
        assert [sent.ids for sent in bench.sent] == [(bench.id_of("m1"),), (bench.id_of("m2"),)]
        assert bench.outcomes() == {"m1": "answered", "m2": "answered"}
        # The orphan's creation appended m1 already (not here, where it was made by hand): only m2 follows.
        assert [text for role, text in bench.messages() if role == "user"] == ["question m2"]


def test_an_orphan_whose_messages_have_all_ended_is_cancelled_at_once() -> None:
    with Bench(profile={"stuck_cancel_seconds": constant(1.0)}) as bench:
        bench.say(0.0, "m1")
        bench.run(20)
        orphan = orphan_of(bench, "m1", stuck=True)
        bench.say(20.0, "m2")
        bench.run(60)
        (cancel,) = bench.requests("runs.cancel")
        assert cancel.run == orphan
        assert cancel.at < 21.5
        assert bench.texts == ["Answer to: question m1", "Answer to: question m2"]
        assert bench.metric("relay_cancels_total", whose="own", takeover="yes") == 1


def test_the_run_of_a_worker_that_died_is_adopted_and_its_answer_sent_once() -> None:
    with Bench(workers=3) as bench:
        bench.say(0.0, "m1")
        bench.at(3.0, bench.crash, 1)
        bench.say(4.0, "m2", worker=2)
        bench.run(60)
        assert bench.texts == ["Answer to: question m1", "Answer to: question m2"]
        assert bench.sent[0].worker != "w1"
        assert [run["status"] for run in bench.runs] == ["completed", "completed"]
        assert bench.requests("runs.cancel") == []
        # A lease of 10 s, renewed at most 10/3 s before the crash, and a sweep every 3 s.
        assert bench.sent[0].at < 3.0 + 10.0 + 3.0 + 1.5


def test_a_stuck_run_is_taken_over_cancelled_and_followed_by_another() -> None:
    with Bench(profile={"stuck_cancel_seconds": constant(1.0)}, settings={"run_patience_seconds": 40.0}) as bench:
        bench.say(0.0, "m1")
        bench.when("run.state", "queued", lambda: bench.lives.make_stuck(bench.runs[0]["id"]))
        bench.run(80)
        (cancel,) = bench.requests("runs.cancel")
        ((taken_over, _, _), *_) = bench.steps("take_over")
        created = bench.requests("runs.create")[0].at
        assert created + 40.0 < taken_over < cancel.at < created + 41.0
        assert [run["status"] for run in bench.runs] == ["cancelled", "completed"]
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1"]
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_conflicts_total", cause="stuck") == 1


def test_a_stuck_run_that_goes_on_holding_its_thread_is_left_there() -> None:
    with Bench(settings={"run_patience_seconds": 30.0, "thread_patience_seconds": 8.0}) as bench:
        bench.say(0.0, "m1")
        bench.when("run.state", "queued", lambda: bench.lives.make_stuck(bench.runs[0]["id"]))
        bench.run(75)
        first, second = bench.requests("runs.create")
        assert second.thread != first.thread
        assert 30.0 + 8.0 < second.at - first.at < 30.0 + 8.0 + 2.0
        assert bench.messages(second.thread) == [("user", "question m1"), ("assistant", "Answer to: question m1")]
        assert bench.texts == ["Answer to: question m1"]
        assert bench.metric("relay_threads_moved_total") == 1


def test_a_stuck_run_that_completes_while_it_is_cancelled_is_the_answer() -> None:
    with Bench(
        profile={"run_seconds": constant(41.0), "cancel_completes_probability": 1.0},
        settings={"run_patience_seconds": 40.0},
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(80)
        assert [run["status"] for run in bench.runs] == ["completed"]
        assert len(bench.requests("runs.cancel")) == 1
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}


def test_a_run_that_somebody_cancelled_and_that_does_not_end_is_not_waited_for_as_if_it_would_answer() -> None:
    with Bench(settings={"run_patience_seconds": 60.0, "thread_patience_seconds": 8.0}) as bench:
        bench.say(0.0, "m1")
        bench.when("run.state", "queued", lambda: bench.lives.make_stuck(bench.runs[0]["id"]))
        bench.at(5.0, lambda: bench.service.cancel_run(bench.thread(), bench.runs[0]["id"]))
        bench.run(60)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.sent[0].at < 5.0 + 8.0 + 2.0 + 8.0


def test_a_run_that_a_dead_worker_was_cancelling_is_left_by_the_next_as_it_would_have_been_by_the_first() -> None:
    with Bench(workers=2, settings={"run_patience_seconds": 20.0, "thread_patience_seconds": 8.0}) as bench:
        bench.say(0.0, "m1")
        bench.when("run.state", "queued", lambda: bench.lives.make_stuck(bench.runs[0]["id"]))
        bench.when("run.state", "cancelling", lambda: bench.crash(1))
        bench.run(78)
        assert bench.texts == ["Answer to: question m1"]
        # Its lease runs out, a sweep finds it, the thread gets its 8 s, and the second run takes 6.
        assert bench.sent[0].at < 21.0 + 10.0 + 3.0 + 8.0 + 2.0 + 8.0


def test_creations_are_counted_also_where_a_cancel_does_not_end_the_run() -> None:
    with Bench(
        profile={"stuck_probability": 1.0},
        settings={"run_patience_seconds": 4.0, "thread_patience_seconds": 1.0, "creations_max": 2},
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert len(bench.runs) == 2
        assert bench.outcomes() == {"m1": "generic_apology"}


def test_a_foreign_run_is_never_taken_for_one_that_nobody_waits_for() -> None:
    """What a drain cleans up before it lets the lease go is its own; another's run goes on."""
    with Bench(
        profile={"run_seconds": constant(60.0), "cancel_seconds": constant(6.0)},
        settings={"deadline_seconds": 20.0, "cancel_patience_seconds": 5.0},
    ) as bench:
        bench.say(0.0, "m1")
        foreign: list[str] = []

        def begin_another(_: Any = None) -> None:
            foreign.append(bench.leave_run(stuck=True))

        # Between the apology and the release the thread is freed, and somebody else uses it.
        bench.when("run.state", "cancelled", lambda: bench.at(bench.kernel.now, begin_another))
        bench.channel = lambda sent: _wait(2.0)
        bench.run(60)
        assert bench.outcomes() == {"m1": "friendly_apology"}
        assert bench.service.runs[foreign[0]].status == "in_progress"
        assert [cancel.run for cancel in bench.requests("runs.cancel")] == [bench.runs[0]["id"]]


async def _wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


def test_a_conflict_whose_run_has_ended_meanwhile_is_met_by_another_attempt() -> None:
    with Bench(replies=[Failure(), "Second"], profile={"run_seconds": constant(0.1)}) as bench:
        bench.leave_run(stuck=False)
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.texts == ["Second"]
