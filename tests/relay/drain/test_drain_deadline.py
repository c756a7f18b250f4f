"""No customer waits for ever: an apology when a message's time is over, and what becomes of its run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from drain_bench import Bench, Sent, answer_all, constant

from relaysim.relay import FRIENDLY_APOLOGY, GENERIC_APOLOGY
from relaysim.relay.drain import DrainSettings
from relaysim.relay.drain.drain_promises import promises
from relaysim.relay.drain.identity import metadata_of
from relaysim.relay.drain.retries import longest_delay
from relaysim.sim.backends.replies import Failure

# Runs of ours take so long that every deadline here passes first.
LONG = {"run_seconds": constant(300.0)}
PATIENT = {"run_patience_seconds": 500.0}


def test_a_run_that_takes_too_long_is_stopped_and_its_messages_get_one_apology() -> None:
    with Bench(profile=LONG, settings={**PATIENT, "deadline_seconds": 30.0}) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.outcomes() == {"m1": "friendly_apology"}
        assert bench.runs[0]["status"] == "cancelled"
        (cancel,) = bench.requests("runs.cancel")
        ((taken_over, _, _),) = bench.steps("take_over")
        assert 30.0 <= taken_over < cancel.at < bench.sent[0].at < 30.0 + 5.0


def test_an_answer_that_comes_while_its_run_is_being_stopped_is_used() -> None:
    with Bench(
        profile={**LONG, "cancel_completes_probability": 1.0}, settings={**PATIENT, "deadline_seconds": 30.0}
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.runs[0]["status"] == "completed"
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}


def test_the_apology_does_not_wait_for_a_run_that_does_not_stop() -> None:
    with Bench(
        profile={"stuck_probability": 1.0},
        settings={**PATIENT, "deadline_seconds": 30.0, "cancel_patience_seconds": 5.0},
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.sent[0].at == pytest.approx(35.0, abs=0.5)
        assert len(bench.requests("runs.cancel")) == 1


def test_a_burst_gets_one_apology() -> None:
    with Bench(profile=LONG, settings={**PATIENT, "deadline_seconds": 30.0}) as bench:
        for number in range(5):
            bench.say(0.4 * number, f"m{number}")
        bench.run(60)
        assert [sent.text for sent in bench.sent] == [FRIENDLY_APOLOGY]
        assert len(bench.sent[0].ids) == 5
        assert bench.runs[0]["status"] == "cancelled"


def test_what_waits_since_about_the_same_time_gets_the_same_apology_and_no_second() -> None:
    with Bench(settings={"apology_span_seconds": 15.0}, faults=[{"kind": "status", "status": 503}]) as bench:
        for number, seconds in enumerate((0.0, 5.0, 14.9, 15.1, 20.0)):
            bench.say(seconds, f"m{number}")
        bench.run(120)
        assert [sent.text for sent in bench.sent] == [FRIENDLY_APOLOGY] * 2
        assert [len(sent.ids) for sent in bench.sent] == [3, 2]
        assert [sent.at for sent in bench.sent] == pytest.approx([80.0, 95.1], abs=0.5)


def test_only_overdue_messages_get_the_apology_and_the_run_goes_on_for_the_others() -> None:
    with Bench(
        replies=lambda turn: Failure() if turn.number == 1 else answer_all(turn),
        profile={"run_seconds": constant(20.0)},
        settings={"deadline_seconds": 40.0},
    ) as bench:
        bench.say(0.0, "m1")
        bench.say(16.0, "m2")  # joins the second run
        bench.run(60)
        apology, answer = bench.sent
        assert (apology.text, apology.ids) == (FRIENDLY_APOLOGY, (bench.id_of("m1"),))
        assert (answer.text, answer.ids) == ("Answer to: question m1, question m2", (bench.id_of("m2"),))
        assert 40.0 <= apology.at < 40.5
        assert [run["status"] for run in bench.runs] == ["failed", "completed"]
        assert bench.requests("runs.cancel") == []
        assert bench.outcomes() == {"m1": "friendly_apology", "m2": "answered"}


def test_what_came_after_the_run_began_is_not_overdue_with_it() -> None:
    with Bench(profile={"run_seconds": constant(29.0)}, settings={**PATIENT, "deadline_seconds": 25.0}) as bench:
        bench.say(0.0, "m1")
        bench.say(16.0, "m2")
        bench.run(30)
        assert [sent.ids for sent in bench.sent] == [(bench.id_of("m1"),)]
        assert [run["status"] for run in bench.runs] == ["cancelled", "in_progress"]
        assert bench.outcomes() == {"m1": "friendly_apology", "m2": None}


def test_messages_that_nobody_could_take_up_in_time_get_an_apology_and_no_run() -> None:
    with Bench(settings={"deadline_seconds": 30.0}) as bench:
        bench.say(0.0, "m1")
        bench.at(0.1, bench.crash, 1)
        bench.at(50.0, bench.start, 1)
        bench.run(80)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.requests() == []
        assert bench.outcomes() == {"m1": "friendly_apology"}


def test_a_creation_that_was_under_way_when_all_workers_died_leaves_no_run_behind() -> None:
    """Its messages are overdue when a worker is back: the run, if there is one, is cancelled before the lease is free."""
    with Bench(profile=LONG, settings={"deadline_seconds": 30.0}) as bench:
        bench.say(0.0, "m1")
        bench.when("served", "w1#1", lambda: bench.crash(1))
        bench.at(50.0, bench.start, 1)
        bench.run(80)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.runs[0]["status"] == "cancelled"
        (cancel,) = bench.requests("runs.cancel")
        ((released, _, _),) = bench.steps("release")
        assert cancel.at < released
        assert bench.metric("relay_drain_failures_total") == 0


def test_an_answer_that_was_ready_when_all_workers_died_is_still_sent() -> None:
    with Bench(settings={"deadline_seconds": 30.0}) as bench:
        bench.say(0.0, "m1")
        bench.at(3.0, bench.crash, 1)
        bench.at(50.0, bench.start, 1)
        bench.run(80)
        assert bench.texts == ["Answer to: question m1"]
        assert bench.outcomes() == {"m1": "answered"}


def test_a_creation_of_unknown_fate_at_the_deadline_is_cancelled_before_the_lease_is_released() -> None:
    faults: list[dict[str, Any]] = [
        {"kind": "response_lost", "route": "runs.create"},
        {"kind": "status", "status": 503, "route": "runs.list", "window_seconds": [0.0, 40.0]},
    ]
    with Bench(profile=LONG, settings={"deadline_seconds": 30.0}, faults=faults) as bench:
        bench.say(0.0, "m1")
        bench.run(70)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert [run["status"] for run in bench.runs] == ["cancelled"]
        (cancel,) = bench.requests("runs.cancel")
        assert cancel.at < bench.steps("release")[-1][0]


def test_who_writes_while_a_creation_that_nobody_waits_for_is_looked_for_need_not_wait_for_that() -> None:
    """Nobody can list the thread's runs; that it is free, the next creation is told all the same."""
    faults: list[dict[str, Any]] = [
        {"kind": "response_lost", "route": "runs.create", "nth": [1]},
        {"kind": "status", "status": 503, "route": "runs.list", "window_seconds": [0.0, 70.0]},
    ]
    with Bench(settings={"deadline_seconds": 30.0}, faults=faults) as bench:
        bench.say(0.0, "m1")
        bench.say(40.0, "m2")
        bench.run(150)
        assert bench.outcomes() == {"m1": "friendly_apology", "m2": "answered"}
        assert bench.sent[1].at < 40.0 + 8.0 + 10.0  # the longest wait before a repetition, and a run
        assert bench.requests("runs.list")[-1].at > 70.0  # what is left to be cleared is not forgotten
        assert bench.requests("runs.list")[-1].at < bench.steps("release")[-1][0]


def test_a_look_for_one_creation_shows_what_another_has_made_since_it_was_looked_for() -> None:
    """Two are given up. The second one, looked for first and in vain, comes to be while the first one is looked for."""
    faults = [
        {"kind": "request_lost", "route": "runs.create", "nth": [1, 2, 3, 4, 5, 7]},
        {"kind": "read_timeout", "route": "runs.create", "nth": [6], "seconds": 4.8},
    ]
    with Bench(settings={"deadline_seconds": 40.0}, faults=faults) as bench:
        bench.say(0.0, "m1")
        bench.say(25.0, "m2")
        bench.run(100)
        assert bench.outcomes() == {"m1": "friendly_apology", "m2": "friendly_apology"}
        assert [run["status"] for run in bench.runs] == ["cancelled"]
        (cancel,) = bench.requests("runs.cancel")
        assert bench.requests("runs.list")[-1].at < cancel.at < bench.steps("release")[-1][0]


def test_a_run_held_up_by_another_one_until_the_deadline_ends_in_an_apology() -> None:
    with Bench(
        settings={"deadline_seconds": 30.0, "foreign_patience_seconds": 60.0}, profile={"stuck_probability": 1.0}
    ) as bench:
        foreign = bench.leave_run()
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert len(bench.runs) == 1
        assert bench.service.runs[foreign].status in ("in_progress", "cancelling")


# What is broken does not take the apology with it


class Broken:
    """A backend some of whose methods raise what no backend should."""

    def __init__(self, backend: Any, *names: str) -> None:
        self._backend = backend
        self._names = names

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            return self._raise
        return getattr(self._backend, name)

    async def _raise(self, *arguments: object) -> Any:
        raise AttributeError(f"question m1: {arguments}")


@pytest.mark.parametrize("names", [("look",), ("reply",), ("start",), ("look", "cancel"), ("cancel", "look", "reply")])
def test_a_bug_is_told_and_the_message_has_its_apology_all_the_same(names: tuple[str, ...]) -> None:
    with Bench(
        backend=lambda backend: Broken(backend, *names),
        settings={"deadline_seconds": 30.0, "lease_seconds": 6.0, "sweep_seconds": 2.0},
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(80)
        assert bench.texts in ([FRIENDLY_APOLOGY], [GENERIC_APOLOGY])
        assert 30.0 <= bench.sent[0].at < 30.0 + 5.0 + 6.0 + 2.0 + 1.0
        assert bench.metric("relay_drain_failures_total") >= 1
        failure = bench.events("drain_failed")[0]
        assert failure["error"] == "AttributeError"
        assert any(line.startswith("relaysim.relay.drain.drainer:") for line in failure["where"])
        assert len(bench.runs) <= 1


def test_a_bug_met_in_stopping_a_run_does_not_even_delay_the_apology() -> None:
    with Bench(
        backend=lambda backend: Broken(backend, "cancel"), profile=LONG, settings={**PATIENT, "deadline_seconds": 30.0}
    ) as bench:
        bench.say(0.0, "m1")
        bench.run(60)
        assert bench.texts[0] == FRIENDLY_APOLOGY
        assert 30.0 <= bench.sent[0].at < 31.0
        assert bench.metric("relay_drain_failures_total") >= 1


def test_a_bug_in_one_conversation_is_none_of_another() -> None:
    class BrokenForOne(Broken):
        async def start(self, thread_id: str, *arguments: Any) -> Any:
            if thread_id == broken:
                raise KeyError("question m1")
            return await self._backend.start(thread_id, *arguments)

    with Bench(backend=BrokenForOne) as bench:
        broken = bench.thread("first customer")
        bench.say(0.0, "m1", conversation="first customer")
        bench.say(0.0, "m2", conversation="second customer")
        bench.run(20)
        assert bench.outcomes() == {"m1": None, "m2": "answered"}


def test_an_orphan_in_the_way_that_nobody_could_look_at_is_cancelled_before_the_lease_is_released() -> None:
    faults = [{"kind": "status", "status": 503, "route": "runs.retrieve", "window_seconds": [0.0, 40.0]}]
    with Bench(settings={"deadline_seconds": 30.0}, faults=faults) as bench:
        bench.leave_run(metadata=metadata_of(1, "f" * 32, ["ended before"]))
        bench.say(0.0, "m1")
        bench.run(70)
        assert bench.texts == [FRIENDLY_APOLOGY]
        (cancel,) = bench.requests("runs.cancel")
        assert cancel.run == bench.runs[0]["id"]
        assert cancel.at < bench.steps("release")[-1][0]


def test_a_foreign_run_in_the_way_that_nobody_could_look_at_is_left_alone() -> None:
    faults = [{"kind": "status", "status": 503, "route": "runs.retrieve", "window_seconds": [0.0, 40.0]}]
    with Bench(settings={"deadline_seconds": 30.0}, faults=faults) as bench:
        bench.leave_run()
        bench.say(0.0, "m1")
        bench.run(70)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.requests("runs.cancel") == []


@pytest.mark.parametrize("accepted_at", [0.0, 1.3, 2.9, 4.4, 6.1, 7.7, 9.3])
@pytest.mark.parametrize("slow_from", [0.0, 62.0, 71.0, 79.0])
def test_answers_that_take_long_do_not_keep_the_customer_waiting(slow_from: float, accepted_at: float) -> None:
    """Just short of the relay's own timeout nothing fails, but what is under way when time is over must not take as long."""
    slow = {"kind": "slow_body", "seconds": 9.5, "window_seconds": [slow_from, 1e6]}
    with Bench(profile=LONG, settings=PATIENT, faults=[slow]) as bench:
        bench.say(accepted_at, "m1")
        bench.run(accepted_at + 200.0)
        assert bench.texts == [FRIENDLY_APOLOGY]
        assert bench.sent[0].at - accepted_at < 89.5
        assert {run["status"] for run in bench.runs} <= {"cancelled"}


def test_what_is_promised_leaves_time_for_a_text_and_for_a_last_word() -> None:
    settings = {"assistant_id": "asst", "deadline_seconds": 100.0}
    for patience, send, promised in ((5.0, 10.0, 110.0), (0.0, 10.0, 110.0), (15.0, 10.0, 120.0), (0.0, 3.0, 105.0)):
        read = DrainSettings.read(
            "drain", {**settings, "cancel_patience_seconds": patience, "send_timeout_seconds": send}
        )
        assert promises(read)["deadline_seconds"] == promised
    assert promises(DrainSettings.read("drain", {"assistant_id": "asst"}))["deadline_seconds"] == 90.0


def late_by(bench: Bench, name: str) -> float:
    """By how many seconds a message's text left after the time by which it was promised."""
    accepted = next(each.ended for each in bench.deliveries if each.message == name)
    sent = next(each.at for each in bench.sent if bench.id_of(name) in each.ids)
    settings = DrainSettings.read("drain", {**bench.settings, "assistant_id": "asst"})
    return sent - accepted - settings.deadline_seconds - longest_delay(settings)


HANGING = {"kind": "slow_body", "seconds": 9.5, "window_seconds": [25.0, 60.0]}
"""From shortly before the messages' time is over the API is as good as away."""


@pytest.mark.parametrize("send_seconds", [0.1, 3.0, 5.0, 7.0, 9.0, 9.9])
@pytest.mark.parametrize("seconds", [2.2, 3.0])
@pytest.mark.parametrize("patience", [0.0, 5.0, 15.0])
def test_a_text_that_leaves_slowly_does_not_make_the_next_apology_late(
    patience: float, seconds: float, send_seconds: float
) -> None:
    """The next message's time is over while the first one's apology leaves; then the run of both is to be stopped."""

    async def channel(_: Sent) -> None:
        await asyncio.sleep(send_seconds)

    burst = {"burst_gap_seconds": 4.0, "burst_cap_seconds": 4.0}
    settings = {**PATIENT, **burst, "deadline_seconds": 30.0, "apology_span_seconds": 0.0}
    settings["cancel_patience_seconds"] = patience
    with Bench(profile=LONG, settings=settings, faults=[HANGING], channel=channel) as bench:
        bench.say(0.0, "m1")
        bench.say(seconds, "m2")  # the same run's
        bench.run(100)
        assert bench.texts == [FRIENDLY_APOLOGY] * 2
        assert (late_by(bench, "m1") < 0, late_by(bench, "m2") < 0) == (True, True)


@pytest.mark.parametrize("send_seconds", [0.1, 5.0, 9.9])
def test_whose_time_is_over_when_an_apology_leaves_is_apologised_to_with_it(send_seconds: float) -> None:
    """It was not yet when the run of those before it began to be stopped, which takes a while."""

    async def channel(_: Sent) -> None:
        await asyncio.sleep(send_seconds)

    settings = {**PATIENT, "deadline_seconds": 30.0, "apology_span_seconds": 0.0, "burst_gap_seconds": 0.0}
    with Bench(profile=LONG, settings=settings, faults=[HANGING], channel=channel) as bench:
        bench.say(0.0, "m1")
        bench.say(4.0, "m2")
        bench.say(20.0, "m3")
        bench.run(100)
        assert [len(sent.ids) for sent in bench.sent] == [2, 1]
        assert late_by(bench, "m2") < 0
        assert late_by(bench, "m3") < 0


def test_an_answer_is_still_asked_for_when_it_cannot_be_in_time_any_more() -> None:
    """Redis was away when the message's time was over. That is past mending, and the answer is worth a moment."""
    away = {"kind": "away", "at_seconds": constant(79.0), "seconds": constant(30.0)}
    settings = {**PATIENT, "lease_seconds": 60.0}
    with Bench(profile={"run_seconds": constant(90.0)}, settings=settings, redis_faults=[away]) as bench:
        bench.say(0.0, "m1")
        bench.run(200)
        assert bench.texts == ["Answer to: question m1"]
        assert late_by(bench, "m1") > 0


def test_whose_time_is_over_does_not_overtake_a_message_for_which_a_run_goes_on() -> None:
    """Redis is slow, so that the time of two more is over between two looks into the inbox, of one of them in the run."""
    slow = {
        "kind": "slow",
        "at_seconds": constant(29.5),
        "seconds": constant(8.0),
        "delay_seconds": constant(1.5),
    }
    burst = {"burst_gap_seconds": 2.0, "burst_cap_seconds": 2.0}
    settings = {**PATIENT, **burst, "deadline_seconds": 30.0, "apology_span_seconds": 0.0}
    with Bench(profile=LONG, settings=settings, redis_faults=[slow]) as bench:
        bench.say(0.0, "m1")
        bench.say(1.9, "m2")  # the same run's
        bench.say(2.2, "m3")
        bench.run(100)
        order = [message_id for sent in bench.sent for message_id in sent.ids]
        assert order == [bench.id_of(name) for name in ("m1", "m2", "m3")]
        assert len(bench.sent) > 1
