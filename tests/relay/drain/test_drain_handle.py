"""`handle` hands a message in and returns; what waits together is answered together, by one run and one text."""

from __future__ import annotations

import pytest
from drain_bench import ASSISTANT, CONVERSATION, SEND_SECONDS, Bench

from relaysim.relay import Handled, InboxFull, Outcome
from relaysim.relay.telemetry.events import digest

LANES = pytest.mark.parametrize("lane", ["sdk", "direct"])


@LANES
def test_handle_returns_at_once_and_the_answer_follows(lane: str) -> None:
    with Bench(lane=lane) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        (delivery,) = bench.deliveries
        assert delivery.result == Handled(None, 0, 0.0, None)
        assert delivery.ended < 0.01
        (sent,) = bench.sent
        assert (sent.conversation, sent.text) == (CONVERSATION, "Answer to: question m1")
        assert bench.outcomes() == {"m1": "answered"}
        # A run takes 5.5 s; what comes on top is one wait for a burst, requests, and a look that comes late.
        assert 0.5 + 5.5 < sent.at < 0.5 + 5.5 + 3 * 0.2 + 1.6 * 1.2 + 0.1


@LANES
def test_what_another_worker_accepts_meanwhile_joins_the_next_run(lane: str) -> None:
    with Bench(workers=2, lane=lane) as bench:
        bench.say(0.0, "m1")
        bench.say(2.0, "m2", worker=2)
        bench.say(3.0, "m3", worker=2)
        bench.run(40)
        assert bench.texts == ["Answer to: question m1", "Answer to: question m2, question m3"]
        assert [sent.worker for sent in bench.sent] == ["w1", "w1"]
        assert bench.requests(worker="w2") == []
        assert all(delivery.ended - delivery.began < 0.01 for delivery in bench.deliveries)
        assert bench.outcomes() == {"m1": "answered", "m2": "covered", "m3": "answered"}


def test_a_run_is_created_once_the_customer_pauses() -> None:
    with Bench(settings={"burst_gap_seconds": 0.5, "burst_cap_seconds": 2.0}) as bench:
        bench.say(0.0, "m1")
        bench.say(0.4, "m2")
        bench.run(30)
        (creation,) = bench.requests("runs.create")
        assert creation.at == pytest.approx(0.9, abs=0.02)


def test_a_customer_who_does_not_pause_is_answered_all_the_same() -> None:
    with Bench(settings={"burst_gap_seconds": 0.5, "burst_cap_seconds": 2.0}) as bench:
        for number in range(10):
            bench.say(0.3 * number, f"m{number}")
        bench.run(40)
        first, second = bench.requests("runs.create")
        assert first.at == pytest.approx(2.0, abs=0.02)
        assert second.at > 2.0 + 5.5
        assert [len(sent.ids) for sent in bench.sent] == [7, 3]


def test_a_run_answers_no_more_messages_than_a_batch_holds() -> None:
    with Bench(settings={"batch_messages_max": 2}) as bench:
        for number in range(1, 6):
            bench.say(0.01 * number, f"m{number}")
        bench.run(60)
        assert [sent.text for sent in bench.sent] == [
            "Answer to: question m1, question m2",
            "Answer to: question m3, question m4",
            "Answer to: question m5",
        ]


def test_one_request_brings_the_messages_and_says_whose_run_it_is() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.say(0.1, "m2")
        bench.run(30)
        (run,) = bench.runs
        ids = bench.sent[0].ids
        assert run["assistant_id"] == ASSISTANT
        assert run["metadata"]["relay_epoch"] == "1"
        assert run["metadata"]["relay_messages"] == ",".join(map(digest, ids))
        assert len(bytes.fromhex(run["metadata"]["relay_request"])) == 16
        assert bench.messages()[:2] == [("user", "question m1"), ("user", "question m2")]
        assert {request.operation for request in bench.requests()} == {"runs.create", "runs.retrieve", "messages.list"}


def test_each_lease_has_its_own_epoch() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.say(20.0, "m2", worker=2)
        bench.run(40)
        assert [run["metadata"]["relay_epoch"] for run in bench.runs] == ["1", "2"]


def test_the_reply_is_what_the_run_wrote_also_if_another_message_is_newer() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")

        def write_something_newer() -> None:
            bench.service.create_message(bench.thread(), role="assistant", content="A colleague's note")

        bench.when("run.state", "completed", lambda: bench.at(bench.kernel.now, write_something_newer))
        bench.run(30)
        assert bench.messages()[-1] == ("assistant", "A colleague's note")
        assert bench.texts == ["Answer to: question m1"]


def test_a_redelivery_while_the_message_is_answered_is_nobodys_work() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.say_again(2.0, "m1", worker=2)
        bench.run(30)
        assert [delivery.result for delivery in bench.deliveries] == [Handled(None, 0, 0.0, None)] * 2
        assert len(bench.sent) == len(bench.runs) == 1
        assert bench.metric("relay_messages_duplicate_total") == 1


def test_a_redelivery_after_the_end_tells_the_outcome_and_does_nothing() -> None:
    with Bench(workers=2) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        requests, sent = bench.requests(), list(bench.sent)
        bench.say_again(30.0, "m1", worker=2)
        bench.run(60)
        assert bench.deliveries[-1].result == Handled(Outcome.ANSWERED, 0, 0.0, None)
        assert (bench.requests(), bench.sent) == (requests, sent)


def test_a_stuck_run_delays_no_other_conversation_of_its_worker() -> None:
    others = [f"customer {number}" for number in range(5)]
    with Bench() as bench:
        bench.leave_run("stuck customer")
        bench.say(0.0, "s1", conversation="stuck customer")
        for number, customer in enumerate(others):
            bench.say(1.0 + 0.1 * number, f"m{number}", conversation=customer)
        bench.run(60)
        threads = [bench.thread(customer) for customer in others]
        creations = {request.thread: request.at for request in bench.requests("runs.create")}
        expected = [1.5 + 0.1 * number for number in range(5)]
        assert [creations[thread] for thread in threads] == pytest.approx(expected, abs=0.02)
        assert all(sent.at < 11.0 for sent in bench.sent if sent.conversation in others)
        assert next(sent.at for sent in bench.sent if sent.conversation == "stuck customer") > 15.0


# A full inbox


@pytest.mark.parametrize("away", ["fail_closed", "fail_open"])
def test_a_message_too_many_is_not_acknowledged_and_taken_in_when_it_comes_again(away: str) -> None:
    with Bench(settings={"inbox_messages_max": 3, "when_redis_is_away": away}) as bench:
        for number in range(5):
            bench.say(0.01 * number, f"m{number}")
        bench.say(0.05, "other", conversation="another customer")
        bench.run(15)
        results = {delivery.message: delivery.result for delivery in bench.deliveries}
        full = [result for result in results.values() if isinstance(result, InboxFull)]
        assert [str(each) for each in full] == [
            "Redis did not take the message: its conversation has 3 messages that wait, which is all that it may have. "
            "Leave its webhook unacknowledged"
        ] * 2
        assert full[0].reason == "inbox_full"
        assert bench.outcomes() == {
            "m0": "covered",
            "m1": "covered",
            "m2": "answered",
            "m3": None,
            "m4": None,
            "other": "answered",
        }
        assert bench.metric("relay_inbox_full_total") == 2
        for number in (3, 4):
            bench.say_again(20.0, f"m{number}")
        bench.run(40)
        assert (bench.outcome("m3"), bench.outcome("m4")) == ("covered", "answered")
        assert bench.metric("relay_messages_accepted_total") == 6


# The thread


def test_a_conversation_without_a_thread_gets_one_which_is_remembered() -> None:
    with Bench(workers=2, threads=False) as bench:
        bench.say(0.0, "m1")
        bench.say(20.0, "m2", worker=2)
        bench.run(40)
        assert [request.operation for request in bench.requests()].count("threads.create") == 1
        assert len({request.thread for request in bench.requests("runs.create")}) == 1
        assert bench.outcomes() == {"m1": "answered", "m2": "answered"}


def test_a_thread_that_is_gone_is_replaced_and_the_messages_are_not() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        gone = bench.thread()
        bench.service.delete_thread(gone)
        bench.say(30.0, "m2")
        bench.run(60)
        assert bench.texts == ["Answer to: question m1", "Answer to: question m2"]
        (new,) = {request.thread for request in bench.requests("runs.create")} - {gone}
        assert [text for role, text in bench.messages(new) if role == "user"] == ["question m1", "question m2"]


def test_a_thread_that_goes_while_its_run_is_followed_is_replaced() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.at(3.0, lambda: bench.service.delete_thread(bench.thread()))
        bench.run(60)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}


def test_a_thread_that_cannot_be_had_ends_in_an_apology() -> None:
    with Bench(threads=False, faults=[{"kind": "status", "status": 422, "route": "threads.create"}]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.outcomes() == {"m1": "generic_apology"}
        assert len(bench.sent) == 1
        assert bench.requests("runs.create") == []


def test_sending_ends_before_the_lease_is_released() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        ((released, _, _),) = bench.steps("release")
        assert released > bench.sent[0].at + SEND_SECONDS
        assert bench.redis.holder(CONVERSATION) is None
