"""The incident's story, followed from a verdict down to single events."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from relaysim.scenarios.cli import main
from relaysim.scenarios.load import load
from relaysim.scenarios.scenario_files import INCIDENT, shipped
from relaysim.sim.world.settings import GENERIC_TEXT

PEAK_SEED, PEAK_MESSAGE = 219, "c8.m3"
"""A world of `peak_hour_before` in which a slow request outlives its lock. After a change that moves events look for
another: a message whose own lease expired, whose append was refused because of a run that another handling created
after it had listed no run."""


_PEAKS = ("peak_hour_before", "peak_hour", "peak_hour_one_key", "peak_hour_drain")


def lines_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out.splitlines()


def position(lines: list[str], *words: str, after: int = -1) -> int:
    """The first line behind `after` that holds all words."""
    return next(number for number, line in enumerate(lines) if number > after and all(word in line for word in words))


def test_a_failure_before_the_fix_shows_its_interleaving(capsys: pytest.CaptureFixture[str]) -> None:
    """Lock lost, no run listed, a run created meanwhile, 400: in that order, on one screen, none of it injected."""
    lines = lines_of(capsys, "replay", "peak_hour_before", "--seed", str(PEAK_SEED), "--conversation", PEAK_MESSAGE)
    assert len(lines) <= 25
    lost = position(lines, "lock lost", f"still handling {PEAK_MESSAGE}")
    empty = position(lines, f" {PEAK_MESSAGE} ", "none active", after=lost)
    foreign = position(lines, "created run_", f"is handling {PEAK_MESSAGE}", after=empty)
    refused = position(lines, f" {PEAK_MESSAGE} ", ": 400 Can't add messages to thread_", after=foreign)
    run = lines[foreign].split("created ")[1].split()[0]
    assert f"while a run {run} is active" in lines[refused]
    position(lines, "customer", "received", GENERIC_TEXT[:40], after=refused)


def test_make_gate_judges_each_scenario() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (others,) = re.findall(r"^INCIDENT_OTHERS := (.*)$", makefile, re.MULTILINE)
    (recipe,) = re.findall(r"^gate:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    named = recipe.replace("$(INCIDENT_OTHERS)", others).split()
    drains = [name for name in shipped() if name.startswith("drain_")]
    assert {*INCIDENT, *drains} <= {*named}
    # What it leaves out has no claim, and can be left out of scenarios that do not have it.
    assert load("incident", ["map.drop=true"], check_relay=False).map is None
    for name in others.split():
        assert load(name, ["curve.drop=true"], check_relay=False).curve is None


def test_peak_hours_conflicts_are_not_injected() -> None:
    assert len({load(name).worlds_hash for name in _PEAKS}) == 1, "their rates stand side by side"
    for name in _PEAKS:
        settings = load(name).world_settings()
        assert settings.schedule == ()
        assert settings.faults == ()
        assert settings.workload.initial_runs == ()
        assert settings.workload.messages == ()


def test_transparent_is_followed_to_one_seed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Which run was cancelled, whose message it was answering, what that customer received."""
    assert main(["verify", "race", "--replications", "7", "--lane-check", "0", "--out", str(tmp_path), "--quiet"]) == 0
    capsys.readouterr()
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (transparent,) = (claim for claim in results["scenarios"][0]["claims"] if claim["id"] == "transparent")
    assert (transparent["verdict"], transparent["count"], transparent["n"]) == ("refuted", 7, 14)
    example = transparent["examples"][0]
    told = example["detail"]

    trace = tmp_path / "trace.jsonl"
    lines = lines_of(capsys, "run", "race", "--seed", str(example["seed"]), "--lane", "sdk", "--trace", str(trace))
    assert f"fingerprint {example['fingerprint']}" in lines
    records = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]

    def the(kind: str, **fields: Any) -> dict[str, Any]:
        found = [
            record
            for record in records
            if record["kind"] == kind and all(record[name] == value for name, value in fields.items())
        ]
        assert len(found) == 1, (kind, fields, found)
        return found[0]

    created = the("run.state", run_id=told["run"], state="queued")
    creation = the("request", request_id=created["cause"])
    assert creation["context"] == f"{told['answering']}#1"
    cancelling = the("run.state", run_id=told["run"], state="cancelling")
    cancel = the("request", request_id=cancelling["cause"])
    assert (cancel["context"], cancel["operation"]) == (told["cancelled_by"], "runs.cancel")
    assert told["cancelled_by"] == "c1.m2#1" != creation["context"]
    sent = the("send", delivery=creation["context"])
    assert sent["text"] == GENERIC_TEXT == told["received"][0]
    received = [record["text"] for record in records if record["kind"] == "received"]
    assert received[0] == GENERIC_TEXT
    for word in (told["run"], told["answering"], "c1.m2", GENERIC_TEXT):
        assert word in told["text"]


@pytest.mark.parametrize(
    ("scenario", "waits", "told"),
    [
        ("race", [2.0], []),
        ("stuck_run", [6.0], []),
        ("persistent_failure", [14.0], ["friendly failure", "retries answered"]),
        ("stuck_run_cancel_raises", [0.0], ["generic failure"]),
        ("race_cancel_without_thread_id", [0.0], ["generic failure"]),
    ],
)
def test_what_a_conflict_costs(
    scenario: str, waits: list[float], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", scenario, "--seed", "3", "--lane", "sdk", "--json"]) == 0
    observation = json.loads(capsys.readouterr().out)
    assert observation["series"]["wait_seconds"] == waits
    for name in told:
        assert observation["counts"][name.replace(" ", "_")] == 1


def test_the_maps_centre_is_the_scenario_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = ("--set", "map.x.values=[0.45, 0.62]", "--set", "map.y.values=[0.0, 0.02]")
    small = ("--replications", "30", "--lane-check", "0", "--jobs", "1")
    main(["verify", "incident", *two, *small, "--out", str(tmp_path), "--quiet"])
    capsys.readouterr()
    (entry,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["scenarios"]
    centre = entry["map"]["cells"][0][entry["map"]["x"]["values"].index(0.62)]
    own = {claim["id"]: claim["observed"] for claim in entry["claims"]}
    assert centre["n"] == 30
    assert centre["observed"] == {name: own[name] for name in ("first-retry", "second-retry", "polite-failure")}
