"""The judge as a whole: what it counts, when it is silent, and that a sound relay breaks nothing."""

from __future__ import annotations

from typing import Any

import pytest
from judged_story import CONFIRMED, PLAIN, JudgedStory, answered_story

from relaysim.sim.backends.threads.operations import ROLES
from relaysim.sim.kernel import Record
from relaysim.sim.world import CHECKED, COUNTS, INVARIANTS, observe
from relaysim.sim.world.invariants import JUDGED_COUNTS, JudgeSettings
from relaysim.sim.world.judge.catalogue import PROMISES
from relaysim.sim.world.settings import FRIENDLY_TEXT, RelayUnderTest, WorldSettings

OLD = RelayUnderTest(factory="relaysim.relay:cancel_and_retry")


def test_every_promise_has_its_counts_and_every_invariant_names_some() -> None:
    assert list(PROMISES) == [*(f"S{n}" for n in range(1, 17)), *(f"L{n}" for n in range(1, 8))]
    assert set(JUDGED_COUNTS) <= set(COUNTS)
    assert set(INVARIANTS) == set(CHECKED)
    assert set(INVARIANTS.values()) | set(CHECKED.values()) <= set(COUNTS)
    for promise, name in PROMISES.items():
        assert INVARIANTS[f"{promise}-{name}"] == f"breach_{promise}"
        assert CHECKED[f"{promise}-{name}"] == f"checked_{promise}"


def test_a_sound_relay_breaks_nothing_and_is_checked() -> None:
    story = answered_story()
    story.release()
    assert story.broken() == {}
    assert story.residues() == {}
    checked = {name for name in PROMISES if story.checked(name)}
    assert checked == {"S1", "S2", "S3", "S4", "S6", "S7", "S8", "S10", "S12", "S13", "S15", "L1", "L3"}


def test_an_observation_has_the_judges_counts_and_sentences() -> None:
    story = answered_story()
    story.ledger["c1.m1"] = None
    observation = observe(story.records, OLD, story.threads, promises=PLAIN, ledger=story.ledger)
    assert observation["counts"]["breach_S1"] == 1
    assert observation["details"]["breach_S1"][0]["message"] == "c1.m1"
    assert observation["details"]["breach_S1"][0]["text"] == "c1.m1 was accepted at 0.000 s and has not ended"


def test_at_most_three_sentences_are_kept_of_a_breach() -> None:
    story = JudgedStory()
    for number in range(1, 6):
        story.accept(f"c1.m{number}")
    findings = story.findings()
    assert findings.counts["breach_S1"] == 5
    assert len(findings.details["breach_S1"]) == 3


def test_a_relay_without_leases_and_ledger_is_judged_by_what_needs_neither() -> None:
    """The same story, told of a relay whose Redis keys and ledger nobody knows."""
    story = answered_story()
    story.send("c1.m1", worker="w2")
    story.records = [each for each in story.records if not each.kind.startswith(("lease", "send.for", "redis"))]
    findings = story.findings(ledger=False)
    assert {name for name, n in findings.counts.items() if n} == {"checked_S12", "checked_S13", "checked_S15"}


def test_settings_know_what_the_world_can_do() -> None:
    from relaysim.sim.doors import load_profile

    world = WorldSettings.model_validate(
        {
            "profile": load_profile("typical"),
            "relay": {"factory": "relaysim.relay:drain", "settings": {"wait_replicas": 1}},
            "workload": {"messages": [{"at_seconds": 0.0}]},
            "redis_faults": [{"kind": "failover", "at_seconds": 1.0, "seconds": 2.0, "lost_seconds": 0.5}],
            "limit_seconds": 300.0,
        }
    )
    settings = JudgeSettings.of(world, CONFIRMED, ROLES)
    assert settings.promises is CONFIRMED
    assert settings.lost_seconds == {"failover": 0.5}
    assert settings.limit_seconds == 300.0
    assert FRIENDLY_TEXT in settings.apologies


# What an observation of a relay without leases says is as before, but for the SDK's own waits.


def _attempt(worker: str, number: int, at: float, status: int, failure: str | None = None) -> list[Record]:
    request_id = f"{worker}#{number}"
    fields: tuple[Any, ...] = (request_id, "c1.m1#1", "messages.create", "thread_1", None)
    served = [] if failure else [Record(at, "api", "served", (request_id, status, None, ""))]
    response = (request_id, 0 if failure else status, failure)
    return [Record(at, worker, "request", fields), *served, Record(at, worker, "response", response)]


def _waited(*attempts: tuple[float, int, str | None]) -> float:
    records = [
        Record(0.0, "api", "run.state", ("run_x", "thread_1", "in_progress", "time")),
        Record(0.0, "customer:c1", "message.sent", ("c1.m1", "c1", "Question [c1.m1]", None)),
        Record(0.0, "w1", "handling.start", ("c1.m1#1", "c1.m1", 1)),
    ]
    for number, (at, status, failure) in enumerate(attempts, 1):
        records += _attempt("w1", number, at, status, failure)
    (waited,) = observe(records, OLD, {"thread_1": "c1"}, promises=PLAIN)["series"]["wait_seconds"]
    return float(waited)


@pytest.mark.parametrize(
    ("status", "failure"), [(429, None), (500, None), (408, None), (409, None), (0, "ReadTimeout")]
)
def test_the_wait_before_the_sdk_repeats_a_failed_request_is_not_the_relays(status: int, failure: str | None) -> None:
    assert _waited((0.0, 400, None), (2.0, status, failure), (2.75, 200, None)) == 2.0


def test_the_sdk_repeats_twice_and_what_comes_then_is_the_relays_wait() -> None:
    failing = [(2.0, 500, None), (2.5, 500, None), (3.5, 500, None)]
    assert _waited((0.0, 400, None), *failing, (7.5, 200, None)) == 2.0 + 4.0


def test_a_refusal_is_nothing_that_the_sdk_repeats() -> None:
    assert _waited((0.0, 400, None), (2.0, 400, None), (6.0, 200, None)) == 6.0


def test_an_apology_is_for_the_messages_that_its_relay_names_and_no_text_is_one_that_never_arrived() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.accept("c1.m2")
    story.send("c1.m1", "c1.m2", fate="refused")
    assert observe(story.records, OLD, story.threads, promises=PLAIN)["counts"]["generic_failure"] == 0
    story.send("c1.m1", "c1.m2", fate="unknown_lost")
    assert observe(story.records, OLD, story.threads, promises=PLAIN)["counts"]["generic_failure"] == 0
    story.send("c1.m1", "c1.m2", fate="unknown_delivered")
    assert observe(story.records, OLD, story.threads, promises=PLAIN)["counts"]["generic_failure"] == 2


def test_a_reply_answers_the_last_message_that_it_names_and_covers_the_others() -> None:
    story = JudgedStory()
    story.accept("c1.m1", lease=True)
    story.accept("c1.m2")
    story.answer_all("run_a", "c1.m1", "c1.m2")
    counts = observe(story.records, OLD, story.threads, promises=PLAIN)["counts"]
    assert (counts["answered"], counts["covered"], counts["lost"]) == (1, 1, 0)
