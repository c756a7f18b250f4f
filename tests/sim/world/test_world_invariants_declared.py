"""What is judged only of a relay that declares it, on traces written by hand: each promise kept, and broken by a little."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from judged_story import PROMISES, SETTINGS, JudgedStory, answered_story

from relaysim.reports.story_cause_kinds import CauseKind
from relaysim.reports.story_causes import find_causes
from relaysim.sim.trace.chronicle import Chronicle
from relaysim.sim.world.invariants import Findings, judge
from relaysim.sim.world.judge.promises import Promises, RetryPromise
from relaysim.sim.world.judge.world_facts import NO_FACTS, WorldFacts

assert PROMISES.lease is not None
STEPS = PROMISES.lease.steps.model_copy(
    update={"claim": ("claim",), "begin_send": ("begin_send",), "in_order": ("take_over", "end", "intend")}
)
LEASE = PROMISES.lease.model_copy(update={"steps": STEPS})


def declaring(**more: Any) -> Promises:
    lease = {name: more.pop(name) for name in ("renew_seconds", "guards_looks", "clears_up") if name in more}
    return PROMISES.model_copy(update={"lease": LEASE.model_copy(update=lease), **more})


def judged(story: JudgedStory, promises: Promises, facts: WorldFacts = NO_FACTS, **settings: Any) -> Findings:
    return judge(
        story.records, story.threads, story.ledger, replace(SETTINGS, promises=promises, **settings), facts=facts
    )


def breaches(story: JudgedStory, promise: str, promises: Promises, facts: WorldFacts = NO_FACTS) -> int:
    return judged(story, promises, facts).counts[f"breach_{promise}"]


# L5: waits before repetitions


def failing(waits: list[float], *, status: int = 500, operation: str = "runs.list") -> JudgedStory:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    for wait in [0.0, *waits]:
        story.now += wait
        story.ask(operation, status=status)
    return story


GROWING = RetryPromise(ratio=10.0, reserve=1000.0, first_seconds=0.5, cap_seconds=8.0)


def test_waits_that_are_always_short_do_not_grow_and_those_that_do_are_fine() -> None:
    short = [0.1 + 0.003 * number for number in range(30)]
    grown = [0.6 * min(8.0, 0.5 * 2**number) + 0.003 * number for number in range(30)]
    promises = declaring(retries=GROWING)
    assert breaches(failing(short), "L5", promises) == 1
    assert breaches(failing(grown), "L5", promises) == 0
    undeclared = declaring(retries=GROWING.model_copy(update={"first_seconds": None}))
    assert breaches(failing(short), "L5", undeclared) == 0


def test_a_few_short_waits_are_chance() -> None:
    assert breaches(failing([0.1, 0.2, 0.3, 0.15, 0.25]), "L5", declaring(retries=GROWING)) == 0


@pytest.mark.parametrize(("wait", "broken"), [(1.9, 1), (2.0, 0), (2.4, 0)])
def test_what_a_429_asks_for_is_heeded(wait: float, broken: int) -> None:
    story = failing([wait], status=429, operation="runs.create")
    facts = WorldFacts(asked_seconds={"w1#1": 2.0})
    heeding = declaring(retries=RetryPromise(heeds_retry_after=True))
    assert breaches(story, "L5", heeding, facts) == broken
    assert breaches(story, "L5", declaring(), facts) == 0


def fail_runs(story: JudgedStory, count: int) -> None:
    """So many runs for c1.m1 fail, one after the other, and it ends in an apology."""
    for number in range(count):
        story.create_run(f"run_{number}", *(["c1.m1"] if number == 0 else []))
        story.now += 1.0
        story.add("api", "run.state", f"run_{number}", "thread_1", "failed", "time")
    story.send("c1.m1")
    story.end("generic_apology", "c1.m1")


def test_no_more_runs_are_created_for_a_message_than_are_declared() -> None:
    for runs, broken in ((2, 0), (3, 1)):
        story = JudgedStory()
        story.accept("c1.m1", lease=True)
        fail_runs(story, runs)
        assert breaches(story, "L5", declaring(runs_max=2)) == broken


@pytest.mark.parametrize(("gone", "broken"), [(True, 0), (False, 1)])
def test_runs_of_which_nobody_knows_the_lease_are_not_counted_as_one_leases(gone: bool, broken: int) -> None:
    """While Redis fails over, what was written there of a lease is lost, and with it whose a run is."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    if gone:
        story.gone(at=0.5)
    fail_runs(story, 2)
    assert breaches(story, "L5", declaring(runs_max=1)) == broken


def causes_of(story: JudgedStory, found: Findings, promise: str) -> list[tuple[CauseKind, list[str]]]:
    """What a story holds of the first breach: the kinds, with the kinds of their records."""
    chronicle = Chronicle(SETTINGS.roles)
    chronicle.read(story.records)
    causes = find_causes(story.records, chronicle, found.details[f"breach_{promise}"][0])
    return [(each.kind, [story.records[place][2] for place in each.places]) for each in causes]


def test_a_repetition_that_came_too_early_is_told_with_its_refusal() -> None:
    story = failing([1.9], status=429, operation="runs.create")
    facts = WorldFacts(asked_seconds={"w1#1": 2.0})
    found = judged(story, declaring(retries=RetryPromise(heeds_retry_after=True)), facts)
    assert found.details["breach_L5"][0]["requests"] == ["w1#1", "w1#2"]
    assert causes_of(story, found, "L5") == [(CauseKind.REPEATED, ["served", "request"])]


def test_of_waits_that_do_not_grow_the_first_repetitions_are_told() -> None:
    story = failing([0.1 + 0.003 * number for number in range(30)])
    found = judged(story, declaring(retries=GROWING))
    assert causes_of(story, found, "L5") == [(CauseKind.REPEATED, ["served", "request"])] * 4


def test_runs_that_are_one_too_many_are_told_with_those_before() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    fail_runs(story, 3)
    found = judged(story, declaring(runs_max=2))
    assert causes_of(story, found, "L5") == [(CauseKind.RUNS_AGAIN, ["served"] * 3)]


def test_of_a_lease_that_somebody_holds_its_taking_and_the_request_for_it_are_told() -> None:
    story = claimed(held_since=20.0)
    found = judged(story, declaring())
    assert causes_of(story, found, "L6") == [(CauseKind.ASKED_IN_VAIN, ["lease.taken", "redis"])]


# L6 and L7: claims and leases


def claimed(*, held_since: float, at: float = 60.0) -> JudgedStory:
    story = JudgedStory()
    story.accept("c1.m1", lease=True, at=at - held_since)
    story.now = at
    story.redis("w2", "claim", "c1", reply=0)
    return story


@pytest.mark.parametrize(("held_since", "broken"), [(20.0, 1), (1.0, 0)])
def test_a_lease_that_somebody_holds_is_not_asked_for(held_since: float, broken: int) -> None:
    story = claimed(held_since=held_since)
    assert breaches(story, "L6", declaring()) == broken
    assert breaches(story, "L6", PROMISES) == 0


def test_where_nothing_waits_nobody_asks_twice() -> None:
    story = answered_story()
    story.release()
    story.now += 20.0
    story.redis("w2", "claim", "c1", reply=0)
    assert breaches(story, "L6", declaring()) == 0
    story.now += 3.0
    story.redis("w1", "claim", "c1", reply=0)
    assert breaches(story, "L6", declaring()) == 1


def test_what_redis_did_just_before_excuses_a_needless_claim() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.add("redis", "redis.fault", "away", "", "", at=55.0)
    story.add("redis", "redis.back", "away", at=56.0)
    story.now = 60.0
    story.redis("w2", "claim", "c1", reply=0)
    assert breaches(story, "L6", declaring()) == 0


@pytest.mark.parametrize(("struck", "broken"), [(None, 1), (3.4, 1), (7.0, 0)])
def test_a_lease_does_not_run_out_while_its_holder_works_and_redis_answers(struck: float | None, broken: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.leave("runs.list")
    if struck is not None:
        story.add("redis", "redis.fault", "command_lost", "renew", "relay:lease:c1", at=struck)
    story.gone(at=10.0)
    assert breaches(story, "L7", declaring(renew_seconds=10.0 / 3)) == broken
    assert breaches(story, "L7", declaring()) == 0


@pytest.mark.parametrize(("struck", "broken"), [(1.0, 1), (4.0, 0)])
def test_who_gives_up_a_step_that_redis_left_unanswered_may_let_its_lease_run_out(struck: float, broken: int) -> None:
    """The renewal that came in between was answered; the step that was lost before it is given up after it."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.leave("runs.list")
    story.add("redis", "redis.fault", "command_lost", "begin_send", "relay:lease:c1", at=struck)
    story.now = 6.6
    story.redis("w1", "renew", "c1", reply=1)
    story.gone(at=16.6)
    assert breaches(story, "L7", declaring(renew_seconds=10.0 / 3)) == broken


def test_a_dead_holder_loses_its_lease() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.leave("runs.list")
    story.add("w1", "host.crash", at=2.0)
    story.gone(at=10.0)
    assert breaches(story, "L7", declaring(renew_seconds=10.0 / 3)) == 0


# S5, S7 and S8


@pytest.mark.parametrize(("after", "broken"), [(9.0, 1), (10.0, 0)])
def test_somebody_elses_run_gets_the_patience_that_is_declared(after: float, broken: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.add("api", "run.state", "run_other", "thread_1", "queued", "elsewhere#1")
    story.now += after
    story.cancel("run_other")
    assert breaches(story, "S5", declaring(foreign_patience_seconds=10.0)) == broken
    assert breaches(story, "S5", declaring()) == 0


def test_looks_need_the_lease_where_that_is_declared() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.gone(at=10.0)
    story.ask("runs.retrieve", run="run_a")
    assert breaches(story, "S7", declaring(guards_looks=True)) == 1
    assert breaches(story, "S7", declaring()) == 0


@pytest.mark.parametrize(("reply", "broken"), [(1, 1), (-2, 0)])
def test_a_step_that_comes_late_takes_no_effect(reply: int, broken: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.add("redis", "redis.fault", "command_late", "take_over", "relay:lease:c1", at=1.0)
    story.now = 4.0
    story.redis("w1", "intend", "c1")
    story.add("redis", "redis.back", "command_late", at=6.0)
    story.redis("w1", "take_over", "c1", reply=reply)
    assert breaches(story, "S7", declaring()) == broken


def unknown_creation(*, look: dict[str, Any] | None = None, last: dict[str, Any] | None = None) -> JudgedStory:
    """A lease goes whose only creation, of unknown fate, has made a run; with a look before or after its message's end."""
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    creation = story.leave("runs.create")
    story.run_lands(creation, "run_a", "c1.m1")
    story.answer(creation, 0, "ReadTimeout")
    if look is not None:
        story.ask("runs.list", **look)
    story.send("c1.m1", at=5.0)
    story.end("friendly_apology", "c1.m1")
    if last is not None:
        story.ask("runs.list", **last)
    story.release()
    return story


@pytest.mark.parametrize("looks", [True, False])
def test_a_creation_of_unknown_fate_is_asked_for_before_the_lease_goes(looks: bool) -> None:
    story = unknown_creation(last={"failure": "ReadTimeout"} if looks else None)
    found = judged(story, declaring(clears_up=True)).counts
    assert (found["breach_S8"], found["residue_orphan_run"]) == ((0, 1) if looks else (1, 0))


@pytest.mark.parametrize(
    ("look", "broken"),
    [
        ({"status": 404}, 0),
        ({"status": 500}, 1),
        ({"failure": "ReadTimeout"}, 1),
        ({"thread": "thread_2", "status": 404}, 1),
    ],
    ids=["the thread is gone", "an error", "no answer", "another thread is gone"],
)
def test_who_was_told_that_the_thread_is_gone_need_not_ask_again_what_became_of_a_creation(
    look: dict[str, Any], broken: int
) -> None:
    """Nobody can list the runs of a thread that is gone; a look that told nothing is repeated, if only once."""
    found = judged(unknown_creation(look=look), declaring(clears_up=True)).counts
    assert (found["breach_S8"], found["residue_orphan_run"]) == (broken, 1 - broken)


# S1, S15, S16, L1, L2 and L3


@pytest.mark.parametrize(("crash", "begins", "broken"), [(1.5, False, 0), (6.0, False, 1), (6.0, True, 0)])
def test_a_refusal_is_noted_or_its_message_is_not_unknown_for_want_of_a_crash(
    crash: float, begins: bool, broken: int
) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.redis("w1", "begin_send", "c1")
    story.send("c1.m1", fate="refused")
    if begins:
        story.now = 5.9
        story.redis("w1", "begin_send", "c1")
    story.add("w1", "host.crash", at=crash)
    story.gone(at=10.0)
    story.take("c1", "w2", at=12.0)
    story.end("unknown", "c1.m1", worker="w2")
    facts = WorldFacts(refusals_told={("w1", "c1", 0.0): 1.0})
    assert breaches(story, "S1", declaring(), facts) == broken


def test_what_the_content_filter_cut_off_is_withheld_where_that_is_declared() -> None:
    facts = WorldFacts(cut_off={"run_a": "content_filter"})
    assert breaches(answered_story(), "S15", declaring(withholds=("content_filter",)), facts) == 1
    assert breaches(answered_story(), "S15", declaring(), facts) == 0
    other = WorldFacts(cut_off={"run_a": "max_completion_tokens"})
    assert breaches(answered_story(), "S15", declaring(withholds=("content_filter",)), other) == 0


@pytest.mark.parametrize(("sent", "broken"), [("Reply of run_a", 1), ("One thing first\n\nReply of run_a", 0)])
def test_all_messages_of_a_run_are_sent(sent: str, broken: int) -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.create_run("run_a", "c1.m1")
    story.add("api", "message.stored", "thread_1", "msg_first", "assistant", "run_a", "One thing first")
    story.complete("run_a")
    story.send("c1.m1", text=sent)
    assert breaches(story, "S15", declaring()) == broken


def test_an_ended_text_does_not_stay() -> None:
    facts = WorldFacts(kept={"c1.m1": "relay:texts:c1"})
    story = answered_story()
    assert breaches(story, "S16", declaring(forgets_texts=True), facts) == 1
    assert breaches(story, "S16", declaring(forgets_texts=True)) == 0
    assert breaches(story, "S16", declaring(), facts) == 0
    story.ledger["c1.m1"] = None  # it waits
    assert breaches(story, "S16", declaring(forgets_texts=True), facts) == 0


@pytest.mark.parametrize(("waiting", "broken"), [(1, 1), (2, 0)])
def test_nothing_is_refused_while_nothing_is_wrong_unless_too_much_waits(waiting: int, broken: int) -> None:
    story = JudgedStory()
    for number in range(waiting):
        story.accept(f"c1.m{number + 1}", lease=number == 0)
    story.add("customer:c1", "message.sent", "c1.m9", "c1", "Question [c1.m9]", None)
    story.add("w2", "handling.start", "c1.m9#1", "c1.m9", 1)
    story.add("w2", "handling.end", "c1.m9#1", None, "InboxUnavailable")
    unended = breaches(story, "L1", declaring())
    assert breaches(story, "L1", declaring(waiting_max=2)) == unended + broken


@pytest.mark.parametrize(("taken", "broken"), [(3.5, 0), (9.0, 1)])
def test_what_is_handed_back_is_taken_within_a_sweep(taken: float, broken: int) -> None:
    story = JudgedStory()
    story.accept("c2.m1", worker="w2")  # another worker is there
    story.accept("c1.m1", lease=True)
    story.add("w1", "host.stop")
    story.release(command="hand_back")
    story.take("c1", "w2", at=taken)
    story.answer_all("run_a", "c1.m1", worker="w2", epoch=2)
    assert breaches(story, "L2", declaring()) == broken


@pytest.mark.parametrize(("returns", "broken"), [(True, 1), (False, 0)])
def test_a_worker_that_has_heard_of_its_lease_uses_it_though_a_reply_was_lost(returns: bool, broken: int) -> None:
    story = JudgedStory()
    story.add("redis", "redis.fault", "reply_lost", "accept", "relay:lease:c1")
    story.accept("c1.m1", lease=True, returns=False)
    story.now = 3.0
    if returns:
        story.add("w1", "handling.end", "c1.m1#1", None, None)
    else:
        story.add("w1", "handling.end", "c1.m1#1", None, "InboxUnavailable")
    story.gone(at=10.0)
    assert breaches(story, "L3", declaring()) == broken
