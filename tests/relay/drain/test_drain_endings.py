"""How runs end, and what becomes of the messages that they answer."""

from __future__ import annotations

import pytest
from drain_bench import Bench, answer_all

from relaysim.relay import GENERIC_APOLOGY
from relaysim.sim.backends.replies import Failure, Incomplete, Text, ToolCall, ToolCalls

FAILURES = pytest.mark.parametrize("code", ["rate_limit_exceeded", "server_error"])


def test_one_text_answers_a_burst_and_covers_all_but_its_last_message() -> None:
    with Bench() as bench:
        for number in range(1, 4):
            bench.say(0.1 * number, f"m{number}")
        bench.run(30)
        assert bench.outcomes() == {"m1": "covered", "m2": "covered", "m3": "answered"}
        assert [len(sent.ids) for sent in bench.sent] == [3]


def test_a_run_that_completes_without_words_ends_in_an_apology() -> None:
    with Bench(replies=[""]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.texts == [GENERIC_APOLOGY]
        assert bench.outcomes() == {"m1": "generic_apology"}
        assert len(bench.runs) == 1


def test_an_answer_that_reached_the_limit_of_tokens_is_sent_as_far_as_it_got() -> None:
    with Bench(replies=[Incomplete("As far as I", "max_completion_tokens")]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.texts == ["As far as I"]
        assert bench.outcomes() == {"m1": "answered"}


def test_an_answer_that_was_stopped_for_its_content_is_not_sent() -> None:
    with Bench(replies=[Incomplete("Something", "content_filter")]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.texts == [GENERIC_APOLOGY]
        assert bench.outcomes() == {"m1": "generic_apology"}


@FAILURES
def test_a_failed_run_is_followed_by_another_that_appends_nothing(code: str) -> None:
    with Bench(replies=[Failure(code), Text("The second answers")]) as bench:
        bench.say(0.0, "m1")
        bench.say(0.1, "m2")
        bench.run(40)
        assert bench.texts == ["The second answers"]
        assert bench.outcomes() == {"m1": "covered", "m2": "answered"}
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1", "question m2"]
        first, second = (run["metadata"] for run in bench.runs)
        assert first["relay_messages"] == second["relay_messages"]
        assert first["relay_request"] != second["relay_request"]


def test_what_came_during_a_failed_run_joins_the_next_and_is_appended_once() -> None:
    with Bench(replies=lambda turn: Failure() if turn.number == 1 else answer_all(turn)) as bench:
        bench.say(0.0, "m1")
        bench.say(3.0, "m2")
        bench.run(40)
        assert bench.texts == ["Answer to: question m1, question m2"]
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1", "question m2"]


@FAILURES
def test_runs_that_go_on_failing_end_in_an_apology(code: str) -> None:
    with Bench(replies=[Failure(code)], settings={"creations_max": 3}) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert [run["status"] for run in bench.runs] == ["failed"] * 3
        assert bench.texts == [GENERIC_APOLOGY]
        assert bench.outcomes() == {"m1": "generic_apology"}


def test_runs_are_counted_for_the_messages_and_not_for_the_worker() -> None:
    """A worker that takes over goes on counting where the one before it was."""
    with Bench(workers=2, replies=[Failure()], settings={"creations_max": 2}) as bench:
        bench.say(0.0, "m1")
        bench.when("run.state", "queued", lambda: bench.at(bench.kernel.now + 1.0, bench.crash, 1), nth=2)
        bench.run(80)
        assert [run["metadata"]["relay_epoch"] for run in bench.runs] == ["1", "1"]
        assert bench.outcomes() == {"m1": "generic_apology"}


def test_other_messages_have_runs_of_their_own_to_fail() -> None:
    with Bench(
        replies=[Failure(), Failure(), Text("one"), Failure(), Text("two")], settings={"creations_max": 3}
    ) as bench:
        bench.say(0.0, "m1")
        bench.say(30.0, "m2")
        bench.run(80)
        assert bench.texts == ["one", "two"]


def test_a_run_that_expired_is_followed_by_another() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.at(3.0, lambda: bench.service.advance(bench.runs[0]["id"], "expired", "expiry"))
        bench.run(40)
        assert [run["status"] for run in bench.runs] == ["expired", "completed"]
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}


def test_a_run_that_somebody_else_cancelled_is_followed_by_another() -> None:
    with Bench() as bench:
        bench.say(0.0, "m1")
        bench.at(3.0, lambda: bench.service.cancel_run(bench.thread(), bench.runs[0]["id"]))
        bench.run(40)
        assert [run["status"] for run in bench.runs] == ["cancelled", "completed"]
        assert bench.texts == ["Answer to: question m1"]
        assert [text for role, text in bench.messages() if role == "user"] == ["question m1"]
        assert bench.requests("runs.cancel") == []


def test_a_run_that_calls_a_tool_is_cancelled_and_ends_in_an_apology() -> None:
    with Bench(replies=[ToolCalls((ToolCall("lookup"),)), Text("Something else")]) as bench:
        bench.say(0.0, "m1")
        bench.run(20)
        assert bench.texts == [GENERIC_APOLOGY]
        assert bench.outcomes() == {"m1": "generic_apology"}
        assert [run["status"] for run in bench.runs] == ["cancelled"]
        bench.say(30.0, "m2")
        bench.run(60)
        assert bench.texts[1:] == ["Something else"]


def test_a_creation_that_is_refused_for_good_ends_in_an_apology_at_once() -> None:
    with Bench(faults=[{"kind": "status", "status": 400, "route": "runs.create"}]) as bench:
        bench.say(0.0, "m1")
        bench.run(30)
        assert bench.texts == [GENERIC_APOLOGY]
        assert len(bench.requests("runs.create")) == 1


def test_a_reply_that_cannot_be_read_ends_in_an_apology_by_the_deadline() -> None:
    with Bench(
        profile={"run_seconds": {"kind": "constant", "value": 25.0}},
        faults=[{"kind": "status", "status": 503, "route": "messages.list"}],
        settings={"deadline_seconds": 40.0, "cancel_patience_seconds": 5.0},
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(120)
        (sent,) = bench.sent
        assert sent.text == GENERIC_APOLOGY
        assert 40.0 <= sent.at < 45.1


def test_a_failure_of_reading_the_reply_is_repeated() -> None:
    with Bench(faults=[{"kind": "status", "status": 503, "route": "messages.list", "nth": [1, 2]}]) as bench:
        bench.say(0.0, "m1")
        bench.run(40)
        assert bench.texts == ["Answer to: question m1"]
        assert len(bench.requests("messages.list")) == 3
