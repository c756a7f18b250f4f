"""Goal: worlds on Responses: both lanes leave one trace, the lock is met and judged, and what a turn loses is seen.

Method: two small bots (`responses_bot`) with two messages to one conversation, close together or far apart.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from relaysim.scenarios.cli import main
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.responses.backend import RESPONSES
from relaysim.sim.backends.responses.profile import ResponsesProfile
from relaysim.sim.backends.threads.backend import THREADS
from relaysim.sim.world import Lane, Result, WorldSettings, run_world

pytestmark = pytest.mark.usefixtures("one_session")


def world(
    *at_seconds: float, factory: str = "make", numbers: dict[str, Any] | None = None, **tables: Any
) -> WorldSettings:
    document = {
        "api": "responses",
        "profile": load_profile(
            "claimed", {"run_seconds": {"kind": "constant", "value": 5.0}, **(numbers or {})}, ResponsesProfile
        ),
        "relay": {
            "factory": f"responses_bot:{factory}",
            "generic_text": "Sorry, please try again later.",
            "settings": {},
        },
        "workload": {"messages": [{"at_seconds": at} for at in at_seconds]},
        **tables,
    }
    return WorldSettings.model_validate(document)


def run(settings: WorldSettings, lane: Lane, seed: int = 0) -> Result:
    return run_world(settings, root_seed=5, seed=seed, lane=lane, keep_trace=True)


@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_the_lock_is_met_and_waited_for(lane: Lane) -> None:
    counts = run(world(0.0, 1.0), lane).observation["counts"]
    assert (counts["met_active_run"], counts["answered"], counts["lost"]) == (1, 2, 0)
    apart = run(world(0.0, 60.0), lane).observation["counts"]
    assert (apart["met_active_run"], apart["conflicts"], apart["answered"], apart["runs"]) == (0, 0, 2, 2)


def test_whoever_waits_for_too_short_a_time_loses_the_message() -> None:
    relay = {
        "factory": "responses_bot:make",
        "generic_text": "Sorry, please try again later.",
        "settings": {"waits": [0.5]},
    }
    counts = run(world(0.0, 1.0, relay=relay), "direct").observation["counts"]
    assert (counts["not_recovered"], counts["lost"], counts["generic_failure"]) == (1, 1, 1)


FAULTS = ["response_lost", "reset", "malformed", "status", "slow_body", "read_timeout", "request_lost"]


@pytest.mark.parametrize("factory", ["make", "make_background"])
@pytest.mark.parametrize("kind", FAULTS)
def test_both_lanes_leave_the_same_trace(kind: str, factory: str) -> None:
    fault: dict[str, Any] = {"kind": kind, "route": "responses.*", "probability": 0.3}
    if kind == "status":
        fault["status"] = 503
    if kind == "slow_body":
        fault["seconds"] = 2.0
    settings = world(0.0, 1.0, 20.0, 40.0, factory=factory, faults=[fault])
    hits = 0
    for seed in range(4):
        sdk, direct = run(settings, "sdk", seed), run(settings, "direct", seed)
        assert sdk.records == direct.records
        assert sdk.fingerprint == direct.fingerprint
        hits += sum(sdk.observation["fault_hits"]["faults"])
    assert hits > 0


LEAVES = ["never", "timeout", "cancel", "close", "resume"]


def streamed(leaves: str, *at_seconds: float, **tables: Any) -> WorldSettings:
    relay = {"factory": "responses_bot:make_stream", "settings": {"leaves": leaves}}
    return world(*at_seconds, relay=relay, **tables)


@pytest.mark.parametrize("lane", ["sdk", "direct"])
@pytest.mark.parametrize("drops", [False, True])
def test_pieces_that_are_sent_while_a_turn_is_written_are_its_words(drops: bool, lane: Lane) -> None:
    relay = {"factory": "responses_bot:make_pieces", "settings": {"drops": drops}}
    result = run(world(0.0, 60.0, relay=relay), lane)
    counts = result.observation["counts"]
    kinds = [kind for _, _, kind, _ in result.records or ()]
    assert kinds.index("send") < max(place for place, kind in enumerate(kinds) if kind == "run.state")
    assert (counts["answered"], counts["lost"], counts["wrong_conversation"]) == (2, 0, 0)
    assert counts["breach_S15"] == (2 if drops else 0)


@pytest.mark.parametrize("leaves", LEAVES)
def test_a_stream_is_read_and_left_alike_in_both_lanes(leaves: str) -> None:
    settings = streamed(leaves, 0.0, 1.0, 20.0, 23.0)
    sdk, direct = run(settings, "sdk"), run(settings, "direct")
    assert sdk.records == direct.records
    text = " ".join(str(fields) for _, _, kind, fields in direct.records or () if kind == "send")
    assert ("response.completed@" in text) == (leaves in ("never", "resume"))
    assert "response.in_progress@" in text
    assert "Another process is currently operating" in text or leaves == "never"


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("kind", [*FAULTS, "truncated", "after_events"])
def test_both_lanes_leave_the_same_trace_of_streams(kind: str, leaves: str) -> None:
    fault: dict[str, Any] = {"kind": kind, "route": "responses.*", "probability": 0.4}
    if kind == "status":
        fault["status"] = 503
    if kind == "slow_body":
        fault["seconds"] = 20.0
    if kind == "after_events":
        fault |= {"kind": "reset", "after_events": 4}
    settings = streamed(leaves, 0.0, 1.0, 20.0, 40.0, faults=[fault])
    hits = 0
    for seed in range(3):
        sdk, direct = run(settings, "sdk", seed), run(settings, "direct", seed)
        assert sdk.records == direct.records
        hits += sum(sdk.observation["fault_hits"]["faults"])
    assert hits > 0


@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_a_worker_that_dies_while_it_reads_leaves_the_lock(lane: Lane) -> None:
    crash = {"kind": "crash", "at_seconds": 2.0, "seconds": 1.0}
    counts = run(streamed("never", 0.0, 4.0, host_faults=[crash]), lane).observation["counts"]
    assert counts["met_active_run"] == 1
    assert counts == run(streamed("never", 0.0, 4.0, host_faults=[crash]), "sdk").observation["counts"]


@pytest.mark.parametrize(("switch", "met"), [("runs_on", 1), ("cancels", 0)])
def test_a_stream_that_is_left_keeps_its_lock_or_not(switch: str, met: int) -> None:
    numbers = {"abandoned_stream": switch, "cancel_seconds": {"kind": "constant", "value": 0.1}}
    counts = run(streamed("close", 0.0, 3.0, numbers=numbers), "direct").observation["counts"]
    assert counts["met_active_run"] == met


def test_a_turn_that_was_left_keeps_the_conversation_locked() -> None:
    settings = world(0.0, workload={"messages": [{"at_seconds": 0.0}], "initial_runs": [{"age_seconds": 30.0}]})
    result = run(settings, "direct")
    assert result.observation["counts"]["lost"] == 1


def test_a_turn_that_works_beside_another_one_does_not_read_what_that_one_brought() -> None:
    result = run(world(0.0, 1.0, numbers={"lock": "none"}), "direct")
    counts = result.observation["counts"]
    assert (counts["conflicts"], counts["answered"], counts["breach_S13"]) == (0, 2, 1)
    apart = run(world(0.0, 60.0, numbers={"lock": "none"}), "direct").observation["counts"]
    assert apart["breach_S13"] == 0


def test_what_a_failed_turn_took_along_is_no_longer_in_the_conversation() -> None:
    settings = world(0.0, 30.0, numbers={"failure_probability": 1.0})
    result = run(settings, "direct")
    assert result.records is not None
    deleted = [fields[1] for _, _, kind, fields in result.records if kind == "message.deleted"]
    assert len(deleted) == 2


@pytest.mark.parametrize(
    ("given", "told", "sentence"),
    [
        (["responses_race"], ["turn refused: 400 Another process"], None),
        (
            ["responses_race", "--set", "relay.factory=relaysim.relay:chained"],
            ["created resp_biV3 with c1.m2"],
            r"! resp_biV3, whose reply c1 was sent, did not read c1\.m1, stored before in another conversation of c1, "
            r"resp_\w{4}; it was created in resp_biV3 at 1\.774 s",
        ),
    ],
)
def test_stories_speak_of_turns_and_conversations_and_shorten_ids(
    given: list[str], told: list[str], sentence: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *given, "--seed", "0"]) == 0
    story = capsys.readouterr().out
    assert all(each in story for each in told)
    assert not re.search(r"\b(run|runs|thread|threads)\b", story)
    assert not re.search(r"(conv|resp)_\w{12}", story)
    if sentence is not None:
        assert re.search(f"^{sentence}$", story, re.MULTILINE)


def test_what_an_api_calls_its_parts_is_said_in_its_words() -> None:
    said = "a run cancelled by another worker than its own, in another one's thread; runs, threads, rerun"
    assert RESPONSES.roles.words.said(said) == (
        "a turn cancelled by another worker than its own, in another one's conversation; turns, conversations, rerun"
    )
    assert THREADS.roles.words.said(said) == said
