"""Goal: worlds, doors and the judge know of an API what its backend says: a second one, added by one line, goes through.

Method: `ledger_backend` is registered in the table of backends. A small relay runs on it in worlds of both lanes, as a
scenario and behind a socket; its lock refuses with 409 and names no turn.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from ledger_backend import LEDGER, LedgerProfile
from pydantic import ValidationError

from relaysim.reports.timeline import render_timeline
from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.model import Scenario
from relaysim.sim.backends import BACKENDS, UnknownBackendError, backend_named
from relaysim.sim.backends.profile import load_profile
from relaysim.sim.backends.protocol import Backend
from relaysim.sim.doors.server.background import BackgroundServer
from relaysim.sim.doors.simulation import ApiSettings
from relaysim.sim.kernel.trace import as_digested
from relaysim.sim.world import Lane, Result, WorldSettings, run_world

pytestmark = pytest.mark.usefixtures("one_session")

NUMBERS: dict[str, Any] = {
    "run_seconds": {"kind": "constant", "value": 3.0},
    "settle_seconds": {"kind": "uniform", "low": 1.0, "high": 2.0},
}

SCENARIO = """
schema = 1
name = "ledger"
title = "two messages, one conversation, another API"
root_seed = 1
replications = 20
api = "ledger"
profile = "claimed"
profile_overrides = { settle_seconds = 1.5, run_seconds = 3.0 }
relay = { factory = "ledger_bot:make", generic_text = "Sorry, please try again later." }
workload = { messages = [{ at_seconds = 0.0 }, { at_seconds = 1.5 }] }

[[faults]]
kind = "status"
status = 500
route = "responses.retrieve"
probability = 0.2

[[claims]]
id = "undisturbed"
title = "no message meets a turn that is active"
kind = "never"
event = "met_active_run"
expect = "refuted"
reason = "the second message comes before the first one's turn is over"
"""


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "ledger", "ledger_backend:LEDGER")


def world(*at_seconds: float, **tables: Any) -> WorldSettings:
    document = {
        "api": "ledger",
        "profile": load_profile("claimed", NUMBERS, LedgerProfile),
        "relay": {"factory": "ledger_bot:make", "generic_text": "Sorry, please try again later.", "settings": {}},
        "workload": {"messages": [{"at_seconds": at} for at in at_seconds]},
        **tables,
    }
    return WorldSettings.model_validate(document)


def run(settings: WorldSettings, lane: Lane, seed: int = 0) -> Result:
    return run_world(settings, root_seed=5, seed=seed, lane=lane, keep_trace=True)


def operations(result: Result) -> list[tuple[str, int]]:
    """The requests that were processed, with their statuses."""
    assert result.records is not None
    names = {fields[0]: fields[2] for _, _, kind, fields in result.records if kind == "request"}
    return [(names[fields[0]], fields[1]) for _, _, kind, fields in result.records if kind == "served"]


def test_it_is_a_backend_and_is_found_by_its_name() -> None:
    backend: Backend = LEDGER
    assert backend_named("ledger") is backend
    with pytest.raises(UnknownBackendError, match=r"no simulated API 'legder'; there are: threads, responses, ledger"):
        backend_named("legder")


@pytest.mark.parametrize("lane", ["sdk", "direct"])
def test_the_verdict_of_a_world_sees_a_conflict_with_its_lock(lane: Lane) -> None:
    counts = run(world(0.0, 1.0), lane).observation["counts"]
    # The SDK asks three times by itself, the relay again after 2 s.
    assert (counts["met_active_run"], counts["answered"], counts["lost"]) == (1, 2, 0)
    assert (counts["conflicts"], counts["recovered_later"]) == (3, 1)
    assert counts["creation_conflicts"] == 0  # an append that also starts a turn is counted once
    apart = run(world(0.0, 60.0), lane).observation["counts"]
    assert (apart["conflicts"], apart["answered"], apart["runs"]) == (0, 2, 2)


def test_whoever_gives_up_on_the_lock_is_judged() -> None:
    relay = {"factory": "ledger_bot:make", "settings": {"attempts": 1}}
    counts = run(world(0.0, 1.0, relay=relay), "direct").observation["counts"]
    assert (counts["met_active_run"], counts["not_recovered"], counts["lost"], counts["generic_failure"]) == (
        1,
        1,
        1,
        1,
    )


@pytest.mark.parametrize("kind", ["response_lost", "reset", "malformed", "status"])
def test_both_lanes_leave_the_same_trace(kind: str) -> None:
    fault: dict[str, Any] = {"kind": kind, "route": "responses.create", "probability": 0.3}
    if kind == "status":
        fault["status"] = 503
    settings = world(0.0, 1.0, 5.0, 30.0, faults=[fault])
    hits = 0
    for seed in range(4):
        sdk, direct = run(settings, "sdk", seed), run(settings, "direct", seed)
        assert as_digested(sdk.records or ()) == as_digested(direct.records or ())
        assert sdk.fingerprint == direct.fingerprint
        hits += sum(sdk.observation["fault_hits"]["faults"])
    assert hits > 0


def test_its_own_number_and_its_draws_shape_its_turns() -> None:
    def lengths(seed: int) -> list[float]:
        records = run(world(0.0, 60.0), "direct", seed).records
        assert records is not None
        states = [(time, fields[2]) for time, _, kind, fields in records if kind == "run.state"]
        assert [state for _, state in states] == ["queued", "completed"] * 2
        return [end - begin for (begin, _), (end, _) in zip(states[::2], states[1::2], strict=True)]

    assert all(4.0 <= each <= 5.0 for each in lengths(1))
    assert lengths(1) == lengths(1) != lengths(2)


def test_a_turn_that_was_left_keeps_the_conversation_locked() -> None:
    settings = world(0.0, workload={"messages": [{"at_seconds": 0.0}], "initial_runs": [{"age_seconds": 30.0}]})
    result = run(settings, "direct")
    assert {status for name, status in operations(result) if name == "responses.create"} == {409}
    assert result.observation["counts"]["lost"] == 1


def test_its_conversations_and_operations_are_known_to_strata_and_stories() -> None:
    wait = {"entity": "{c1}/0", "purpose": "settle-seconds", "edges": [0.0, 0.5, 1.0]}
    result = run(world(0.0, 1.0, strata=wait), "direct")
    assert result.observation["fault_hits"]["strata"] == [1]
    assert result.records is not None
    story = render_timeline(result.records, roles=LEDGER.roles)
    (turn,) = {fields[0] for _, _, kind, fields in result.records if kind == "run.state" and fields[3] == "w1#1"}
    short = turn[: len("resp_") + 4]
    assert any(f"created {short}" in line for line in story), story
    assert any(f"polled {short}" in line and "times" in line for line in story), story
    assert not any("calls responses" in line for line in story), story


def test_a_fault_names_an_operation_of_this_api() -> None:
    with pytest.raises(ValidationError, match=r"'runs.create' matches no operation; did you mean `responses.create`"):
        world(0.0, faults=[{"kind": "response_lost", "route": "runs.create"}])
    with pytest.raises(ValidationError, match=r"'served:runs.create' matches no event"):
        world(0.0, host_faults=[{"kind": "crash", "on": "served:runs.create"}])
    world(0.0, host_faults=[{"kind": "crash", "on": "served:responses.create", "seconds": 1.0}])
    with pytest.raises(ValidationError, match=r"'responses.create' matches no operation; did you mean "):
        ApiSettings.model_validate({"faults": [{"kind": "response_lost", "route": "responses.create"}]})


# As a scenario


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def test_a_scenario_names_it_and_is_judged(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = load(str(scenario))
    assert isinstance(made.backend, LedgerProfile)
    again = Scenario.from_json(made.to_json())
    assert again.backend == made.backend
    assert again.hash == made.hash
    assert load(str(scenario), ["profile_overrides.settle_seconds=2.0"]).hash != made.hash
    # A fresh process would not know an API that a test has added to this one.
    assert main(["verify", str(scenario), "--jobs", "1", "--out", "out", "--recheck", "0"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("Is ledger_bot:make safe? No: 1 reply sent after a reply to a later message")
    assert "no message meets a turn that is active 20 of 20" in " ".join(said.split())
    # Its file expects that claim to be refuted, but nothing of the order that customers meet.
    assert "Gate: not passed; no claim expects what customers meet in ledger." in said


def test_the_story_of_a_world_tells_the_conflict(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(scenario), "--seed", "0"]) == 0
    assert "run refused: 409 Conversation is locked" in capsys.readouterr().out


def test_a_name_that_is_not_there_is_one_error_with_its_place(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.write_text(SCENARIO.replace('api = "ledger"', 'api = "legder"'), encoding="utf-8")
    assert main(["verify", str(scenario), "--jobs", "1"]) == 2
    said = capsys.readouterr().err
    assert "api: there is no simulated API 'legder'; there are: threads, responses, ledger" in said


def test_a_wrong_route_is_told_with_its_place(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.write_text(SCENARIO.replace("responses.retrieve", "runs.retrieve"), encoding="utf-8")
    assert main(["verify", str(scenario), "--jobs", "1"]) == 2
    assert (
        "faults[0].route: 'runs.retrieve' matches no operation; did you mean `responses.retrieve`"
        in capsys.readouterr().err
    )


def test_the_default_is_threads_and_leaves_the_hash_alone() -> None:
    named = tomllib.loads(SCENARIO)
    assert named["api"] == "ledger"
    race = load("race", check_relay=False)
    assert race.api == "threads"
    assert load("race", ['api="threads"'], check_relay=False).hash == race.hash == "72cc1968b269cd76"


# Behind a socket


def test_what_it_has_not_cannot_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--api", "ledger", "--any-assistant"]) == 2
    assert "--any-assistant: the simulated Ledger API has no assistants" in capsys.readouterr().err


def test_it_is_served_with_its_lock_its_faults_and_the_control_api() -> None:
    settings = ApiSettings(
        api="ledger",
        profile="claimed",
        overrides=NUMBERS,
        latency=False,
        keys=("sk-ledger",),
        poll_after_ms=50,
        faults=[{"kind": "status", "status": 503, "route": "responses.retrieve", "nth": [1]}],  # type: ignore[arg-type]
    )
    with BackgroundServer(settings, speed=0) as running, httpx2.Client(trust_env=False) as http:
        assert running.base_url.endswith("/ledger/v2")
        client = openai.OpenAI(
            base_url=running.base_url,
            api_key="sk-ledger",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )
        turn = client.responses.create(model="m", input="Hello")
        assert turn.conversation is not None
        with pytest.raises(openai.ConflictError) as locked:
            client.responses.create(model="m", input="Hello?", conversation=turn.conversation.id)
        assert locked.value.code == "conversation_locked"
        with pytest.raises(openai.InternalServerError):
            client.responses.retrieve(turn.id)
        running.advance(10.0)
        answered = client.responses.with_raw_response.retrieve(turn.id)
        assert answered.parse().output_text == "Reply 1 to: Hello"
        assert answered.headers["openai-poll-after-ms"] == "50"
        with pytest.raises(openai.BadRequestError, match="relaysim does not simulate this endpoint"):
            client.beta.threads.create()  # type: ignore[deprecated]
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="sk-other").responses.retrieve(turn.id)
        client.close()

        overview = http.get(running.control_url).json()
        assert overview["counts"]["threads"] == 1
        assert overview["counts"]["runs"] == {"completed": 1}
        assert "runs" not in overview["links"]
        assert http.get(f"{running.control_url}/runs").status_code == 404
        refused = http.post(f"{running.control_url}/faults", json={"kind": "reset", "route": "runs.create"})
        assert (
            "'runs.create' matches no operation; did you mean `responses.create`" in refused.json()["error"]["message"]
        )
        assert running.server.errors == 0
