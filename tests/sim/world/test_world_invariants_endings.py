"""S1, S2, S3, S6 and S11: how messages end, on traces written by hand."""

from __future__ import annotations

import pytest
from judged_story import APOLOGY, CONFIRMED, PROMISES, JudgedStory, answered_story

from relaysim.sim.world.judge.promises import LateApologyPromise
from relaysim.sim.world.settings import FRIENDLY_TEXT, GENERIC_TEXT

FAILOVER = {"failover": 1.0}
"""A failover loses the writes of the last second."""


# S1: every accepted message ends exactly once


@pytest.mark.parametrize("outcome", ["answered", "covered"])
def test_a_message_ends_by_one_reply_that_covers_it(outcome: str) -> None:
    story = answered_story()
    story.ledger["c1.m1"] = outcome
    assert story.broken() == {}


@pytest.mark.parametrize("outcome", ["friendly_apology", "generic_apology"])
def test_a_message_ends_by_one_apology(outcome: str) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.send("c1.m1")
    story.end(outcome, "c1.m1")
    assert story.broken() == {}


@pytest.mark.parametrize("outcome", [None, "superseded", "lost", "friendly_apology"])
def test_an_ending_that_is_none_or_not_that_of_the_text_breaks_s1(outcome: str | None) -> None:
    story = answered_story()
    story.ledger["c1.m1"] = outcome
    assert story.broken()["S1"] == 1


def test_a_message_that_was_never_accepted_need_not_end() -> None:
    story = JudgedStory()
    story.accept("c1.m1", returns=False)
    assert story.broken() == {}
    story.add("w1", "handling.end", "c1.m1#1", None, "InboxUnavailable")
    assert story.broken() == {}
    story.add("w2", "handling.end", "c1.m1#2", None, None)
    assert story.broken() == {"S1": 1, "L1": 1}


def test_an_answer_without_a_text_by_an_apology_or_by_a_run_that_never_saw_the_message_breaks_s1() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.end("answered", "c1.m1")
    assert story.broken() == {"S1": 1}
    story.send("c1.m1")
    assert story.broken() == {"S1": 1}

    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.accept("c1.m2")
    story.create_run("run_a", "c1.m1")
    story.complete("run_a")
    story.send("c1.m1", "c1.m2", run="run_a")
    story.end("answered", "c1.m1", "c1.m2")
    assert story.broken() == {"S1": 1, "S6": 1}


@pytest.mark.parametrize("fate", ["unknown_delivered", "unknown_lost"])
def test_a_text_of_unknown_fate_ends_a_message_as_unknown_and_as_nothing_else(fate: str) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.send("c1.m1", fate=fate)
    story.end("generic_apology", "c1.m1")
    assert story.broken() == {"S1": 1}
    story.ledger["c1.m1"] = "unknown"
    assert story.broken() == {}
    assert story.residues() == {"unknown": 1}


def test_unknown_without_a_cause_breaks_s1() -> None:
    story = answered_story()
    story.ledger["c1.m1"] = "unknown"
    assert story.broken() == {"S1": 1}
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.end("unknown", "c1.m1")
    assert story.broken() == {"S1": 1}


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("cause", ["crash", "pause", "expired", "redis"])
def test_unknown_after_something_hit_the_sender_is_a_residue(cause: str, sent: bool) -> None:
    story = answered_story() if sent else JudgedStory()
    if not sent:
        story.accept("c1.m1", lease=True)
    story.ledger["c1.m1"] = "unknown"
    if cause == "crash":
        story.add("w1", "host.crash")
    elif cause == "pause":
        story.add("w1", "host.pause", 20.0)
    elif cause == "expired":
        story.gone(at=10.0)
    else:
        story.add("redis", "redis.fault", "away", "", "")
        story.add("redis", "redis.back", "away", after=1.0)
    assert "S1" not in story.broken()
    assert story.residues() == {"unknown": 1}


def test_unknown_after_a_disturbance_that_was_over_before_the_sender_read_its_inbox_breaks_s1() -> None:
    story = JudgedStory()
    story.add("w1", "host.pause", 1.0)
    story.add("w1", "host.resume", at=1.0)
    story.accept("c1.m1", lease=True, at=2.0)
    story.answer_all("run_a", "c1.m1")
    story.ledger["c1.m1"] = "unknown"
    assert story.broken() == {"S1": 1}


@pytest.mark.parametrize(("arrives_after", "breaches"), [(4.999, 1), (5.0, 0)])
def test_unknown_after_a_send_that_took_longer_than_the_relay_waits_is_a_residue(
    arrives_after: float, breaches: int
) -> None:
    """A text arrives half-way through its sending: 5 s mean 10 s."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.add("w1", "send", "", "c1", APOLOGY)
    story.add("w1", "send.for", "", "c1", ("c1.m1",))
    story.add("customer:c1", "received", "c1", APOLOGY, at=arrives_after)
    story.end("unknown", "c1.m1")
    assert story.broken().get("S1", 0) == breaches


def test_a_message_whose_every_text_was_refused_is_a_residue() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.send("c1.m1", fate="refused")
    story.end("lost", "c1.m1")
    assert story.broken() == {}
    assert story.residues() == {"refused": 1}


def test_a_message_that_has_time_left_when_the_world_is_cut_off_is_a_residue() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=910.0)
    assert story.broken() == {"S1": 1, "L1": 1}
    story.records.clear()
    story.accept("c1.m1", lease=True, at=910.001)
    assert story.broken() == {}
    assert story.residues() == {"cut_off": 1}


@pytest.mark.parametrize(("stored", "is_lost"), [(0.999, False), (1.0, True), (2.0, True), (2.001, False)])
def test_what_a_failover_has_lost_is_a_residue_only_within_its_window_and_without_replicas(
    stored: float, is_lost: bool
) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=stored)
    story.add("redis", "redis.fault", "failover", "", "", at=2.0)
    story.add("redis", "redis.back", "failover", at=3.0)
    assert story.broken(lost_seconds=FAILOVER) == ({} if is_lost else {"S1": 1, "L1": 1})
    assert story.residues(lost_seconds=FAILOVER) == ({"lost_writes": 1} if is_lost else {})
    assert story.broken(lost_seconds=FAILOVER, promises=CONFIRMED) == {"S1": 1, "L1": 1}
    assert story.broken() == {"S1": 1, "L1": 1}


# S2: nothing is sent twice


@pytest.mark.parametrize("fate", [None, "delivered", "unknown_delivered", "unknown_lost"])
def test_two_texts_that_reached_the_channel_for_one_message_break_s2(fate: str | None) -> None:
    story = answered_story()
    story.send("c1.m1", run="run_a", fate=fate)
    assert story.broken()["S2"] == 1


def test_a_refused_text_may_be_sent_again() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.send("c1.m1", fate="refused")
    story.send("c1.m1", fate="delivered")
    story.end("generic_apology", "c1.m1")
    assert story.broken() == {}


def test_a_second_text_after_a_failover_lost_the_first_is_a_residue_unless_replicas_confirm() -> None:
    story = answered_story()  # sent at 1 s
    story.add("redis", "redis.fault", "failover", "", "", at=1.5)
    story.add("redis", "redis.back", "failover", at=2.0)
    story.send("c1.m1", run="run_a")
    assert "S2" not in story.broken(lost_seconds=FAILOVER)
    assert story.residues(lost_seconds=FAILOVER)["lost_writes"] == 2  # S1 counts it as well
    assert story.broken(lost_seconds=FAILOVER, promises=CONFIRMED)["S2"] == 1
    assert story.broken(lost_seconds={"failover": 0.4})["S2"] == 1


# S3: the order of acceptance


def two_messages(second_starts: float) -> JudgedStory:
    """The first is accepted at 1 s; the second begins to be handled when it is said."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=1.0)
    story.accept("c1.m2", at=second_starts)
    return story


@pytest.mark.parametrize(("second_starts", "breaches"), [(1.0, 0), (1.001, 1)])
def test_a_text_for_a_later_message_that_leaves_first_breaks_s3(second_starts: float, breaches: int) -> None:
    story = two_messages(second_starts)
    story.send("c1.m2", at=5.0)
    story.send("c1.m1", at=6.0)
    story.end("generic_apology", "c1.m1", "c1.m2")
    assert story.broken().get("S3", 0) == breaches


def test_one_text_for_both_and_texts_in_order_keep_s3() -> None:
    story = two_messages(2.0)
    story.send("c1.m2", "c1.m1", at=5.0)
    assert "S3" not in story.broken()
    story = two_messages(2.0)
    story.send("c1.m1", at=5.0)
    story.send("c1.m2", at=6.0)
    assert "S3" not in story.broken()


def test_a_refused_text_does_not_count_for_the_order() -> None:
    story = two_messages(2.0)
    story.send("c1.m2", fate="refused", at=4.0)
    story.send("c1.m1", at=5.0)
    story.send("c1.m2", at=6.0)
    assert "S3" not in story.broken()
    story = two_messages(2.0)
    story.send("c1.m1", fate="refused", at=4.0)
    story.send("c1.m2", at=5.0)
    story.send("c1.m1", at=6.0)
    assert story.broken()["S3"] == 1


def test_the_order_of_different_conversations_is_nobodys_business() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=1.0)
    story.accept("c2.m1", "w2", lease=True, at=2.0)
    story.send("c2.m1", worker="w2", at=5.0)
    story.send("c1.m1", at=6.0)
    assert "S3" not in story.broken()


def test_the_slowest_of_the_earlier_messages_decides() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=1.0)
    story.accept("c1.m2", at=2.0)
    story.accept("c1.m3", at=3.0)
    story.send("c1.m2", at=5.0)
    story.send("c1.m3", at=6.0)
    story.send("c1.m1", at=7.0)
    assert story.broken()["S3"] == 2


# S6: whose words a reply is


def test_the_newest_message_in_the_place_of_the_runs_own_breaks_s6() -> None:
    """Two runs, the second one somebody else's: its words are sent, though nobody saw it end."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.complete("run_a")
    late = story.leave("runs.create", worker="w2")
    story.run_lands(late, "run_b")
    story.complete("run_b", worker=None)
    story.send("c1.m1", run="run_b")
    assert story.findings().counts["breach_S6"] == 1


@pytest.mark.parametrize("seen", ["asked", "listed", "refused cancel", "asked before", "listed before", "by another"])
def test_a_worker_must_have_seen_its_run_end(seen: str) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    if seen == "asked before":
        story.ask("runs.retrieve", run="run_a")
    elif seen == "listed before":
        story.ask("runs.list")
    story.now += 1.0
    story.complete("run_a", worker=None)
    if seen == "asked":
        story.ask("runs.retrieve", run="run_a")
    elif seen == "listed":
        story.ask("runs.list")
    elif seen == "refused cancel":
        story.cancel("run_a", status=400)
    elif seen == "by another":
        story.ask("runs.retrieve", worker="w2", run="run_a")
    story.send("c1.m1", run="run_a")
    assert story.findings().counts["breach_S6"] == (0 if seen in ("asked", "listed", "refused cancel") else 1)


def test_of_runs_that_said_the_same_it_is_the_one_whose_end_its_sender_has_seen() -> None:
    """A run was left behind with its thread, and the one in the next thread said the same."""
    for seen in (True, False):
        story = JudgedStory()
        story.threads["thread_9"] = "c1"
        story.accept("c1.m1", lease=True)
        story.create_run("run_a", "c1.m1")
        story.complete("run_a", worker=None)
        story.create_run("run_b", "c1.m1", thread="thread_9")
        story.add("api", "message.stored", "thread_9", "msg_b", "assistant", "run_b", "Reply of run_a")
        story.add("api", "run.state", "run_b", "thread_9", "completed", "time")
        if seen:
            story.ask("runs.retrieve", "thread_9", run="run_b")
        story.send("c1.m1", run="run_a")
        assert story.findings().counts["breach_S6"] == (0 if seen else 1)


def test_a_reply_to_somebody_else_breaks_s6() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.complete("run_a")
    story.send("c1.m1", run="run_a", to="c2")
    assert story.findings().counts["breach_S6"] == 1


# S11: one apology per burst


def burst(second_accepted: float) -> JudgedStory:
    """An apology for the first of two messages: the inbox was read at 5 s, the text left at 6 s."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=1.0)
    if second_accepted < 5.0:
        story.accept("c1.m2", at=second_accepted)
    story.now = 5.0
    story.redis("w1", "inbox", "c1", reply="6 items")
    if second_accepted >= 5.0:
        story.accept("c1.m2", at=second_accepted)
    return story


@pytest.mark.parametrize(("second_accepted", "breaches"), [(4.999, 1), (5.0, 0), (5.5, 0)])
def test_a_second_apology_for_what_waited_when_the_first_was_decided_breaks_s11(
    second_accepted: float, breaches: int
) -> None:
    story = burst(second_accepted)
    story.send("c1.m1", at=6.0)
    story.send("c1.m2", at=7.0)
    assert story.findings().counts["breach_S11"] == breaches


def test_one_apology_for_the_whole_burst_and_a_refused_one_before_it_keep_s11() -> None:
    story = burst(4.0)
    story.send("c1.m1", fate="refused", at=6.0)
    story.send("c1.m1", "c1.m2", at=7.0)
    assert story.findings().counts["breach_S11"] == 0


@pytest.mark.parametrize(("fate", "breaches"), [("delivered", 1), ("unknown_delivered", 0), ("refused", 0)])
def test_an_apology_for_what_a_reply_covers_that_surely_left_before_breaks_s11(fate: str, breaches: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.accept("c1.m2")
    story.create_run("run_a", "c1.m1", "c1.m2")
    story.complete("run_a")
    story.send("c1.m1", run="run_a", fate=fate)
    story.send("c1.m2")
    assert story.findings().counts["breach_S11"] == breaches


@pytest.mark.parametrize(("fails_over_at", "is_lost"), [(0.5, True), (1.5, True), (12.1, False)])
def test_an_apology_after_a_failover_lost_that_a_reply_was_sent_is_a_residue_unless_replicas_confirm(
    fails_over_at: float, is_lost: bool
) -> None:
    """The run is created at 0 s, its reply is sent at 1 s, and the relay waits 10 s for that."""
    story = answered_story()
    story.add("redis", "redis.fault", "failover", "", "", at=fails_over_at)
    story.add("redis", "redis.back", "failover", at=20.0)
    story.records.sort(key=lambda each: each.time)
    story.send("c1.m1", at=30.0)
    assert story.findings(lost_seconds=FAILOVER).counts["breach_S11"] == (0 if is_lost else 1)
    assert story.findings(lost_seconds=FAILOVER, promises=CONFIRMED).counts["breach_S11"] == 1


PATIENT = PROMISES.model_copy(
    update={"late_apology": LateApologyPromise(text=FRIENDLY_TEXT, after_seconds=80.0)},
)
"""Says that it apologises for lateness after 80 s."""


def test_what_waits_again_since_a_failover_lost_its_end_has_waited_since_it_was_accepted() -> None:
    """It is accepted at 0 s and its reply is sent at 1 s, which a failover loses; at 100 s it has waited long enough."""
    story = answered_story()
    story.add("redis", "redis.fault", "failover", "", "", at=1.5)
    story.add("redis", "redis.back", "failover", at=20.0)
    story.records.sort(key=lambda each: each.time)
    story.send("c1.m1", text=FRIENDLY_TEXT, at=100.0)
    assert story.findings(lost_seconds=FAILOVER, promises=PATIENT).counts["breach_S11"] == 0
    assert story.findings(promises=PATIENT).counts["breach_S11"] > 0


@pytest.mark.parametrize(("at", "breaches"), [(79.0, 1), (79.95, 0), (80.0, 0)])
def test_an_apology_for_what_takes_too_long_that_comes_sooner_than_declared_breaks_s11(
    at: float, breaches: int
) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.send("c1.m1", text=FRIENDLY_TEXT, at=at)
    assert story.findings(promises=PATIENT).counts["breach_S11"] == breaches
    assert story.findings().counts["breach_S11"] == 0, "nothing was declared"
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.send("c1.m1", text=GENERIC_TEXT, at=at)
    assert story.findings(promises=PATIENT).counts["breach_S11"] == 0, "the other one says that something is wrong"


@pytest.mark.parametrize(
    ("created_at", "accepted_at", "breaches"),
    [(1.0, 60.0, 1), (1.0, 10.0, 0), (61.0, 60.0, 0), (None, 60.0, 0)],
    ids=["young", "of the burst", "perhaps in its run", "no run was for the others alone"],
)
def test_an_apology_for_what_takes_too_long_does_not_end_what_came_long_after(
    created_at: float | None, accepted_at: float, breaches: int
) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    if created_at is not None and created_at < accepted_at:
        story.now = created_at
        story.create_run("run_a", "c1.m1")
    story.now = accepted_at
    story.accept("c1.m2")
    if created_at is not None and created_at > accepted_at:
        story.now = created_at
        story.create_run("run_a", "c1.m1", "c1.m2")
    story.send("c1.m1", "c1.m2", text=FRIENDLY_TEXT, at=81.0)
    assert story.findings(promises=PATIENT).counts["breach_S11"] == breaches


@pytest.mark.parametrize(("at", "breaches"), [(139.0, 1), (140.0, 0)])
def test_what_has_waited_for_long_enough_itself_may_end_with_the_others(at: float, breaches: int) -> None:
    """It came at 60 s, long after the other one and its run."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.now = 1.0
    story.create_run("run_a", "c1.m1")
    story.now = 60.0
    story.accept("c1.m2")
    story.send("c1.m1", "c1.m2", text=FRIENDLY_TEXT, at=at)
    assert story.findings(promises=PATIENT).counts["breach_S11"] == breaches
